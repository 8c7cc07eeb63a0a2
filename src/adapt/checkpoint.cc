#include "adapt/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char* kStateFile = "trainer.json";
constexpr const char* kTensorFile = "trainer.safetensors";
constexpr int64_t kVersion = 3;
constexpr int64_t kMaxSteps = int64_t{1} << 40, kMaxTokens = int64_t{1} << 60;

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string HashOf(const ExampleSet& set) {
  std::string all;
  for (const TrainExample& example : set.examples)
    all += Sha256(BytesOf(example.tokens)) + Sha256(BytesOf(example.labels));
  return Sha256(all);
}

// Numbers of a JSON array, checked.
std::vector<double> Numbers(const JsonObject& object, const std::string& key) {
  std::vector<double> numbers;
  for (const Json& value : object.At(key)) {
    if (!value.is_number()) FailInput("{}: \"{}\" must hold numbers", object.where(), key);
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

void ReadTensor(const SafetensorsFile& file, const std::string& name, std::span<float> into) {
  const SafetensorsEntry& entry = file.At(name);
  if (entry.dtype != DType::kF32 || entry.Elements() != static_cast<int64_t>(into.size()))
    FailInput("{}: tensor \"{}\" must hold {} f32 values; remove the folder to start again", file.path().string(), name,
              into.size());
  std::ranges::copy(ToFloats(entry), into.begin());
}

TensorToWrite AsTensor(const std::string& name, std::span<const float> values) {
  return {name, DType::kF32, {static_cast<int64_t>(values.size())}, std::as_bytes(values)};
}

}  // namespace

std::string TrainingFingerprint(const LoraAdapter& adapter, const AdapterBase& base, const ExampleSet& train,
                                const ExampleSet& dev, const TrainOptions& o, uint64_t seed) {
  Json modules = Json::array();
  for (const LoraAdapter::Module& module : adapter.modules())
    modules.push_back({module.site.module, module.site.in, module.site.out, module.rank, module.scale});
  const PeftConfig& lora = adapter.config();
  const Json json = {
      {"base", {base.sha256, base.format}},
      {"train", HashOf(train)},
      {"dev", HashOf(dev)},
      {"seed", seed},
      {"modules", modules},
      {"lora", {lora.r, lora.lora_alpha, lora.lora_dropout, lora.use_rslora}},
      {"train_options",
       {o.epochs, o.batch_size, o.micro_batch_tokens, o.learning_rate, static_cast<int>(o.schedule), o.warmup_ratio,
        o.weight_decay, o.max_grad_norm, o.exact, o.keep_best, o.validate_every, o.patience}}};
  return Sha256(DumpJson(json, -1));
}

bool HasCheckpoint(const fs::path& folder) { return fs::exists(folder / kStateFile); }

bool IsCheckpointOf(const fs::path& folder, const std::string& fingerprint) {
  const fs::path path = folder / kStateFile;
  try {
    const Json json = ReadJsonFile(path);
    const JsonObject object(json, path.string());
    return object.Int("version", 1, 1 << 20) == kVersion && object.String("fingerprint") == fingerprint;
  } catch (const Error&) {
    return false;
  }
}

void WriteCheckpoint(const fs::path& folder, const std::string& fingerprint, const AdapterBase& base,
                     const LoraAdapter& adapter, AdamWOptimizer& optimizer, const TrainState& state) {
  FolderSwap swap(folder);
  adapter.Save(swap.path(), base);
  const Json json = {{"version", kVersion},
                     {"fingerprint", fingerprint},
                     {"step", state.step},
                     {"losses", state.losses},
                     {"validation_steps", state.validation_steps},
                     {"validation_losses", state.validation_losses},
                     {"validation_scores", state.validation_scores},
                     {"best_step", state.best_step},
                     {"seconds", state.seconds},
                     {"validation_seconds", state.validation_seconds},
                     {"tokens", state.tokens},
                     {"supervised_tokens", state.supervised_tokens}};
  WriteSafetensors(swap.path() / kTensorFile,
                   {AsTensor("values", adapter.values()), AsTensor("m", optimizer.first_moments()),
                    AsTensor("v", optimizer.second_moments()), AsTensor("best", state.best)});
  WriteFileAtomic(swap.path() / kStateFile, DumpJson(json));
  swap.Commit();
}

void ReadCheckpoint(const fs::path& folder, const std::string& fingerprint, LoraAdapter& adapter,
                    AdamWOptimizer& optimizer, TrainState& state) {
  const fs::path path = folder / kStateFile;
  const Json json = ReadJsonFile(path);
  const JsonObject object(json, path.string());
  if (object.Int("version", 1, 1 << 20) != kVersion || object.String("fingerprint") != fingerprint)
    Fail(ErrorKind::kUsage,
         "{}: this training was begun with other data, settings or seed; resume with the old ones, or start again "
         "without --resume",
         folder.string());
  state.step = object.Int("step", 1, kMaxSteps);
  state.best_step = object.Int("best_step", 0, kMaxSteps);
  state.seconds = object.Number("seconds", 0, 1e12);
  state.validation_seconds = object.Number("validation_seconds", 0, 1e12);
  state.tokens = object.Int("tokens", 0, kMaxTokens);
  state.supervised_tokens = object.Int("supervised_tokens", 0, kMaxTokens);
  state.losses = Numbers(object, "losses");
  state.validation_losses = Numbers(object, "validation_losses");
  state.validation_scores = Numbers(object, "validation_scores");
  state.validation_steps.clear();
  for (const double step : Numbers(object, "validation_steps")) state.validation_steps.push_back(std::llround(step));
  if (state.losses.size() != static_cast<size_t>(state.step) ||
      state.validation_steps.size() != state.validation_losses.size() ||
      state.validation_scores.size() != state.validation_losses.size())
    FailInput("{}: its lists do not fit its step; remove the folder to start again", path.string());
  const SafetensorsFile file(folder / kTensorFile);
  ReadTensor(file, "values", adapter.values());
  ReadTensor(file, "m", optimizer.first_moments());
  ReadTensor(file, "v", optimizer.second_moments());
  state.best.assign(state.validation_steps.empty() ? 0 : adapter.parameters(), 0.0f);
  ReadTensor(file, "best", state.best);
  optimizer.set_steps(state.step);
}

namespace {

// Steps of the kept ones, ascending.
std::vector<int64_t> KeptSteps(const fs::path& folder) {
  std::vector<int64_t> steps;
  const std::string prefix = folder.filename().string() + "-";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.parent_path())) {
    const std::string name = entry.path().filename();
    int64_t step = 0;
    if (!entry.is_directory() || !name.starts_with(prefix)) continue;
    const char* end = name.data() + name.size();
    if (const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, step);
        error == std::errc() && stop == end)
      steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

}  // namespace

// Hard links where the file system has them: files of a checkpoint are never written in place.
void KeepCheckpoint(const fs::path& folder, int64_t step, int keep) {
  if (keep <= 1) return;
  const fs::path place = fmt::format("{}-{}", folder.string(), step), unfinished = place.string() + ".tmp";
  fs::remove_all(unfinished);
  MakeFolders(unfinished);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::error_code refused;
    fs::create_hard_link(entry.path(), unfinished / entry.path().filename(), refused);
    if (refused) fs::copy_file(entry.path(), unfinished / entry.path().filename());
  }
  fs::remove_all(place);
  fs::rename(unfinished, place);
  const std::vector<int64_t> steps = KeptSteps(folder);
  for (size_t i = 0; i + static_cast<size_t>(keep) < steps.size(); ++i)
    fs::remove_all(fmt::format("{}-{}", folder.string(), steps[i]));
}

}  // namespace qad

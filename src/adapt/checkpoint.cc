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
constexpr int64_t kVersion = 5;
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

Json TrainingIdentity(const LoraAdapter& adapter, const AdapterBase& base, const ExampleSet& train,
                      const ExampleSet& dev, const TrainOptions& o, uint64_t seed, const std::string& judged_by) {
  Json modules = Json::array();
  for (const LoraAdapter::Module& module : adapter.modules())
    modules.push_back({module.site.module, module.site.in, module.site.out, module.rank, module.scale});
  const PeftConfig& lora = adapter.config();
  return {{"weights of the base", base.sha256},
          {"format of the base", base.format},
          {"weights made of the base", base.made_sha256},
          {"validation items and how they are answered", judged_by},
          {"training examples", HashOf(train)},
          {"dev examples", HashOf(dev)},
          {"seed", seed},
          {"adapted modules with their ranks and scales", Sha256(DumpJson(modules, -1))},
          {"lora.r", lora.r},
          {"lora.alpha", lora.lora_alpha},
          {"lora.dropout", lora.lora_dropout},
          {"lora.rslora", lora.use_rslora},
          {"train.epochs", o.epochs},
          {"train.batch_size", o.batch_size},
          {"train.micro_batch_tokens", o.micro_batch_tokens},
          {"train.learning_rate", o.learning_rate},
          {"train.schedule", o.schedule == Schedule::kConstant ? "constant"
                             : o.schedule == Schedule::kLinear ? "linear"
                                                               : "cosine"},
          {"train.warmup_ratio", o.warmup_ratio},
          {"train.weight_decay", o.weight_decay},
          {"train.max_grad_norm", o.max_grad_norm},
          {"train.numerics", !o.exact  ? "fast"
                             : o.split ? "split"
                                       : "exact"},
          {"train.keep", o.keep_best ? "best" : "last"},
          {"train.validate_every", o.validate_every},
          {"train.patience", o.patience}};
}

namespace {

bool IsHash(const Json& value) { return value.is_string() && value.get<std::string>().size() == 64; }

// "train.learning_rate was 0.002, is 0.001; training examples differ".
std::string DifferenceOf(const Json& then, const Json& now) {
  std::string all;
  for (const auto& [key, value] : now.items()) {
    const Json before = then.value(key, Json());
    if (before == value) continue;
    if (!all.empty()) all += "; ";
    all += IsHash(value) || IsHash(before) ? key + " differ"
                                           : fmt::format("{} was {}, is {}", key, before.dump(), value.dump());
  }
  return all;
}

}  // namespace

bool HasCheckpoint(const fs::path& folder) { return fs::exists(folder / kStateFile); }

std::string DifferenceFrom(const fs::path& folder, const Json& identity) {
  const fs::path path = folder / kStateFile;
  try {
    const Json json = ReadJsonFile(path);
    const JsonObject object(json, path.string());
    if (object.Int("version", 1, 1 << 20) == kVersion) return DifferenceOf(object.At("training"), identity);
  } catch (const Error&) {  // said below
  }
  return "it is damaged, or of another version";
}

void WriteCheckpoint(const fs::path& folder, const Json& identity, const AdapterBase& base, const LoraAdapter& adapter,
                     AdamWOptimizer& optimizer, const TrainState& state) {
  FolderSwap swap(folder);
  adapter.Save(swap.path(), base);
  const Json json = {{"version", kVersion},
                     {"training", identity},
                     {"step", state.step},
                     {"losses", state.losses},
                     {"step_seconds", state.step_seconds},
                     {"step_tokens", state.step_tokens},
                     {"rss_bytes", state.rss_bytes},
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

void ReadCheckpoint(const fs::path& folder, const Json& identity, LoraAdapter& adapter, AdamWOptimizer& optimizer,
                    TrainState& state) {
  const fs::path path = folder / kStateFile;
  const Json json = ReadJsonFile(path);
  const JsonObject object(json, path.string());
  if (object.Int("version", 1, 1 << 20) != kVersion)
    Fail(ErrorKind::kUsage, "{}: was written by another version of qad; start again without --resume", folder.string());
  if (object.At("training") != identity)
    Fail(ErrorKind::kUsage,
         "{}: another training was begun there: {}; resume with what it was begun with, or start again without "
         "--resume",
         folder.string(), DifferenceOf(object.At("training"), identity));
  state.step = object.Int("step", 1, kMaxSteps);
  state.best_step = object.Int("best_step", 0, kMaxSteps);
  state.seconds = object.Number("seconds", 0, 1e12);
  state.validation_seconds = object.Number("validation_seconds", 0, 1e12);
  state.tokens = object.Int("tokens", 0, kMaxTokens);
  state.supervised_tokens = object.Int("supervised_tokens", 0, kMaxTokens);
  state.losses = Numbers(object, "losses");
  state.step_seconds = Numbers(object, "step_seconds");
  state.step_tokens = Numbers(object, "step_tokens");
  state.rss_bytes = Numbers(object, "rss_bytes");
  state.validation_losses = Numbers(object, "validation_losses");
  state.validation_scores = Numbers(object, "validation_scores");
  state.validation_steps.clear();
  for (const double step : Numbers(object, "validation_steps")) state.validation_steps.push_back(std::llround(step));
  const auto steps = static_cast<size_t>(state.step);
  if (state.losses.size() != steps || state.step_seconds.size() != steps || state.step_tokens.size() != steps ||
      state.rss_bytes.size() != steps || state.validation_steps.size() != state.validation_losses.size() ||
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

fs::path KeptFolder(const fs::path& folder, int64_t step) { return fmt::format("{}-{}", folder.string(), step); }

// Steps of the kept ones, ascending.
std::vector<int64_t> KeptSteps(const fs::path& folder) {
  std::vector<int64_t> steps;
  const std::string prefix = folder.filename().string() + "-";
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.parent_path(), missing)) {
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

// Under another name first: what a kill leaves of it does not pass for a checkpoint.
void Drop(const fs::path& folder, int64_t step) {
  const fs::path dropped = folder.string() + ".dropped";
  fs::remove_all(dropped);
  fs::rename(KeptFolder(folder, step), dropped);
  fs::remove_all(dropped);
}

}  // namespace

// Hard links where the file system has them: files of a checkpoint are never written in place.
void KeepCheckpoint(const fs::path& folder, int64_t step, int keep) {
  if (keep <= 1) return;
  FolderSwap swap(KeptFolder(folder, step));
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::error_code refused;
    fs::create_hard_link(entry.path(), swap.path() / entry.path().filename(), refused);
    if (refused) fs::copy_file(entry.path(), swap.path() / entry.path().filename());
  }
  swap.Commit();
  const std::vector<int64_t> steps = KeptSteps(folder);
  for (size_t i = 0; i + static_cast<size_t>(keep) < steps.size(); ++i) Drop(folder, steps[i]);
}

void DropKeptCheckpoints(const fs::path& folder) {
  for (const int64_t step : KeptSteps(folder)) Drop(folder, step);
}

}  // namespace qad

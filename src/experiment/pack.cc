#include "experiment/pack.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/process.h"
#include "decide/decide.h"
#include "experiment/manifest.h"
#include "experiment/training_query.h"
#include "memory/memory_math.h"
#include "model/load.h"
#include "report/report.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Samples are replaced arm by arm, results.json at the end: after an interruption they may be of two runs.
void RequireOwn(const fs::path& root, const fs::path& samples, const Results& results) {
  const std::string name = samples.filename().string();
  if (!results.manifest.contains("samples") || !results.manifest["samples"].contains(name)) return;
  if (results.manifest["samples"][name] != Sha256File(samples))
    FailInput("{}: is not of the run that {} describes; a later run was interrupted: `qad run` finishes it",
              samples.string(), (root / "results.json").string());
}

// Predicted beside measured, of every arm's inference and every adapter's training.
void AddChecks(const Results& results, MemoryMath& math) {
  struct Checked {
    std::string_view slice, of, metric, name;
    uint64_t (*allowed)(uint64_t measured) = nullptr;  // null: nothing
  };
  static constexpr Checked kChecked[] = {
      {kMemorySlice, "", "weights_bytes", "weights"},
      {kMemorySlice, "", "kv_bytes", "KV cache"},
      {kMemorySlice, "", "workspace_bytes", "workspace"},
      {kMemorySlice, "", "adapter_bytes", "adapter"},
      {kMemorySlice, "", "retrieval_bytes", "embedder and vectors"},
      {kMemorySlice, "", "peak_rss_bytes", "peak RSS", AllowedInInference},
      {kTrainingSlice, "training of ", "tape_bytes", "activations"},
      {kTrainingSlice, "training of ", "peak_rss_bytes", "peak RSS", AllowedInTraining}};
  for (const Row& row : results.rows) {
    for (const Checked& checked : kChecked) {
      if (row.slice != checked.slice || row.metric != checked.metric) continue;
      if (const auto predicted = results.Value(row.arm, row.slice, fmt::format("{}_predicted", row.metric))) {
        const auto measured = static_cast<uint64_t>(row.value);
        math.checks.push_back({fmt::format("{}{}: {}", checked.of, row.arm, checked.name),
                               static_cast<uint64_t>(*predicted), measured,
                               checked.allowed == nullptr ? 0 : checked.allowed(measured)});
      }
    }
  }
}

// Of a process that has loaded nothing yet: the least of the arms', or what this one has.
uint64_t ProgramBytes(const Results* results) {
  double least = 0;
  if (results != nullptr)
    for (const Row& row : results->rows)
      if (row.slice == kMemorySlice && row.metric == "process_bytes" && (least == 0 || row.value < least))
        least = row.value;
  return least > 0 ? static_cast<uint64_t>(least) : CurrentRssBytes();
}

// The rules judge what was measured, also where the configuration has moved on since.
void WarnOfOtherSettings(const Config& config, const Results& results) {
  std::string changed;
  for (const Json& step : Json::diff(results.settings, SettingsJson(config))) {
    const auto path = step["path"].get<std::string>();
    const std::string last = path.substr(path.rfind('/') + 1);
    const bool is_element = last == "-" || last.find_first_not_of("0123456789") == std::string::npos;
    if (step["op"] == "add" && !is_element) continue;  // a setting that the program which measured did not have
    changed += (changed.empty() ? "" : ", ") + path;
  }
  if (!changed.empty())
    fmt::print(stderr,
               "! the results were measured with other settings than {} has now ({}); `qad run` measures again\n",
               config.file.string(), changed);
}

// This machine, or the one that the configuration describes: what it does not say is what was measured.
Machine OwnMachine(const Workspace& workspace, const Results* results, uint64_t memory) {
  const HardwareConfig& hardware = workspace.config.hardware;
  Machine own{.name = hardware.name.empty() ? CpuName() : hardware.name,
              .source = "measured, or the configuration's",
              .memory = memory,
              .bytes_per_second = 1e9 * hardware.gigabytes_per_second,
              .flops = 1e12 * hardware.teraflops,
              .price_per_hour = hardware.price_per_hour,
              .runs_qad = true};
  if (results == nullptr || !results->manifest["machine"].contains("ceilings")) return own;
  const JsonObject measured(results->manifest["machine"]["ceilings"], "results.json: machine.ceilings");
  if (own.bytes_per_second == 0) own.bytes_per_second = 1e9 * measured.Number("gigabytes_per_second", 0, 1e6);
  if (own.flops == 0) own.flops = 1e12 * measured.Number("teraflops", 0, 1e6);
  return own;
}

// With the prices that the configuration gives them.
std::vector<Machine> Machines(const Workspace& workspace, const Results* results, uint64_t memory) {
  std::vector<Machine> machines = {OwnMachine(workspace, results, memory)};
  for (Machine& machine : AllMachines()) {
    const auto& prices = workspace.config.hardware.machine_prices;
    if (const auto price = prices.find(machine.name); price != prices.end()) machine.price_per_hour = price->second;
    machines.push_back(std::move(machine));
  }
  return machines;
}

}  // namespace

MemoryMath MakeMemory(Workspace& workspace, const Results* results) {
  const ModelFiles files = OpenModel(workspace.model_path);
  const Plan plan = PlanOf(files, WeightMode::kAsStored);
  MemoryQuery query;
  query.title = workspace.config.model;
  query.budget = workspace.config.hardware.memory > 0 ? workspace.config.hardware.memory : TotalMemoryBytes();
  const AdapterConfig& adapter = workspace.config.adapters.front();
  for (const TrainingMethod method : {TrainingMethod::kLora, TrainingMethod::kQlora})
    query.training.push_back(QueryOf(adapter, method));
  query.grid = {
      .methods = query.training, .sequences = {}, .batches = {1, 4}, .ranks = {adapter.lora.r, 8 * adapter.lora.r}};
  for (const uint64_t sequence : {512, 2048, 8192})  // as far as the model has positions
    if (const uint64_t clipped = std::min<uint64_t>(sequence, plan.config.max_positions);
        query.grid.sequences.empty() || clipped > query.grid.sequences.back())
      query.grid.sequences.push_back(clipped);
  query.grid.methods.push_back(QueryOf(adapter, TrainingMethod::kFull));
  query.engine = {{"program", "measured: before it loads anything", ProgramBytes(results)},
                  {"tokenizer", "its tables", LoadTokenizer(files).bytes()}};
  query.machines = Machines(workspace, results, query.budget);
  MemoryMath math = MakeMemoryMath(plan, workspace.stored_format, true, query);
  if (results != nullptr) AddChecks(*results, math);
  WriteMemoryMath(workspace.root / "memory_math.json", math);
  return math;
}

std::vector<Sample> ReadAllSamples(const fs::path& root, const Results& results) {
  std::vector<Sample> all;
  for (const ArmInfo& arm : results.arms) {
    const fs::path path = root / "samples" / SamplesFileName(arm.name);
    if (!fs::exists(path)) continue;
    RequireOwn(root, path, results);
    std::vector<Sample> samples = ReadSamples(path);
    all.insert(all.end(), std::make_move_iterator(samples.begin()), std::make_move_iterator(samples.end()));
  }
  return all;
}

Pack ReadMeasured(const fs::path& root) {
  Pack pack{.results = ReadResults(root / "results.json"), .samples = {}, .memory = {}, .decision = {}};
  pack.samples = ReadAllSamples(root, pack.results);
  const fs::path memory = root / "memory_math.json";
  if (fs::exists(memory)) pack.memory = ReadMemoryMath(memory);
  return pack;
}

void MakeDecision(const Config& config, const fs::path& root, Pack& pack, bool allow_partial, int64_t resamples) {
  if (pack.results.partial && !allow_partial)
    Fail(ErrorKind::kUsage,
         "{}: comes from a run cut by --max-train-samples or --max-eval-samples, on which nothing can be decided; "
         "run `qad run --config {}`, or give --allow-partial to exercise the rules",
         (root / "results.json").string(), config.file.string());
  WarnOfOtherSettings(config, pack.results);
  pack.decision = Decide(pack.results, pack.samples, config.decide, resamples, config.seed);
  WriteDecision(root / "decision.json", *pack.decision);
}

std::vector<fs::path> RenderPack(const Pack& pack, const fs::path& root) {
  WritePack(pack, root);
  std::vector<fs::path> written;
  for (const char* name : {"decision_memo.md", "benchmark_results.md", "memory_math.md", "report.html"})
    if (fs::exists(root / name)) written.push_back(root / name);
  return written;
}

std::vector<fs::path> RenderPack(const fs::path& root) {
  Pack pack = ReadMeasured(root);
  const fs::path decision = root / "decision.json";
  if (fs::exists(decision)) pack.decision = ReadDecision(decision);
  return RenderPack(pack, root);
}

}  // namespace qad

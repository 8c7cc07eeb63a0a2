#include "experiment/pack.h"

#include "adapt/trainer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/process.h"
#include "decide/decide.h"
#include "experiment/manifest.h"
#include "memory/memory_math.h"
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
  };
  static constexpr Checked kChecked[] = {{kMemorySlice, "", "weights_bytes", "weights"},
                                         {kMemorySlice, "", "kv_bytes", "KV cache"},
                                         {kMemorySlice, "", "workspace_bytes", "workspace"},
                                         {kMemorySlice, "", "retrieval_bytes", "embedder and vectors"},
                                         {kMemorySlice, "", "peak_rss_bytes", "peak RSS"},
                                         {kTrainingSlice, "training of ", "tape_bytes", "activations"},
                                         {kTrainingSlice, "training of ", "peak_rss_bytes", "peak RSS"}};
  for (const Row& row : results.rows) {
    for (const Checked& checked : kChecked) {
      if (row.slice != checked.slice || row.metric != checked.metric) continue;
      if (const auto predicted = results.Value(row.arm, row.slice, fmt::format("{}_predicted", row.metric)))
        math.checks.push_back({fmt::format("{}{}: {}", checked.of, row.arm, checked.name),
                               static_cast<uint64_t>(*predicted), static_cast<uint64_t>(row.value)});
    }
  }
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

}  // namespace

MemoryMath MakeMemory(Workspace& workspace, const Results* results) {
  const Plan plan = PlanOf(OpenModel(workspace.model_path), WeightMode::kAsStored);
  MemoryQuery query;
  query.title = workspace.config.model;
  query.budget = workspace.config.hardware.memory > 0 ? workspace.config.hardware.memory : TotalMemoryBytes();
  const AdapterConfig& adapter = workspace.config.adapters.front();
  for (const TrainingMethod method : {TrainingMethod::kLora, TrainingMethod::kQlora})
    query.training.push_back({.method = method,
                              .r = adapter.lora.r,
                              .targets = adapter.lora.target_modules,
                              .tokens = MicroBatchTokens(adapter.train),
                              .layers = adapter.lora.layers_to_transform,
                              .rank_pattern = adapter.lora.rank_pattern,
                              .tape = TapeOf(adapter.train)});
  query.machines = AllMachines();
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

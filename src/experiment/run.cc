#include "experiment/run.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/progress.h"
#include "decide/decide.h"
#include "evaluate/leaks.h"
#include "evaluate/metrics.h"
#include "experiment/manifest.h"
#include "experiment/stages.h"
#include "memory/memory_math.h"
#include "report/report.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Says what happens, does it, says how long it took.
void RunAndAppend(Workspace& workspace, const Stage& stage, Results& all) {
  ThrowIfInterrupted();
  const bool cached = workspace.cache.Find(stage.name, stage.inputs).has_value();
  if (!workspace.quiet)
    fmt::print(stderr, "{} {}\n", cached ? "=" : ">", stage.label + (cached ? " (done before)" : ""));
  const auto start = std::chrono::steady_clock::now();
  const Results made = RunStage(workspace, stage);
  Append(all, made);
  for (const char* key : {"load_before", "load_after"})
    if (made.manifest.contains(key)) all.manifest["machine"][key] = made.manifest[key];
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!workspace.quiet && !cached) fmt::print(stderr, "  {} in {}\n", stage.label, FormatSeconds(seconds));
}

void RunAndAppend(Workspace& workspace, const std::vector<Stage>& stages, Results& all) {
  for (const Stage& stage : stages) RunAndAppend(workspace, stage, all);
}

bool AnyRag(const Config& config) {
  return std::ranges::any_of(config.arms, [](const ArmConfig& arm) { return arm.prompting == Prompting::kRag; });
}

std::vector<Sample> SamplesOf(const fs::path& root, const Results& results) {
  std::vector<Sample> all;
  for (const ArmInfo& arm : results.arms) {
    const fs::path path = root / "samples" / SamplesFileName(arm.name);
    if (!fs::exists(path)) continue;
    const std::vector<Sample> samples = ReadSamples(path);
    all.insert(all.end(), samples.begin(), samples.end());
  }
  return all;
}

std::vector<Sample> SamplesOfArm(const fs::path& root, const std::string& arm) {
  return ReadSamples(root / "samples" / SamplesFileName(arm));
}

std::string PrimaryMetricOf(const std::vector<Item>& eval, const std::string& slice) {
  std::vector<Item> items;
  std::ranges::copy_if(eval, std::back_inserter(items),
                       [&](const Item& item) { return SliceMatches(item.slice, slice); });
  return PrimaryMetric(items);
}

// Evaluation questions that stand in what a model or a prompt could have seen. They are reported, not removed: the
// reader of the pack must know, and whether a pair is a leak is for a person to say.
Json LeaksJson(const Workspace& workspace) {
  const DataConfig& data = workspace.config.data;
  std::vector<LeakCorpus> corpora{LeakCorpusOf("train", workspace.train), LeakCorpusOf("dev", workspace.dev)};
  for (const AdapterConfig& adapter : workspace.config.adapters)
    if (adapter.data != data.train)
      corpora.push_back(LeakCorpusOf("train of " + adapter.name, LoadDataset(adapter.data)));
  for (const auto* documents : {&data.documents, &data.documents_update})
    if (!documents->empty())
      corpora.push_back(
          LeakCorpusOf("documents", ChunkDocuments(*documents, workspace.config.rag.chunk_tokens, CountWords)));
  Json leaks = Json::array();
  for (const Leak& leak : FindLeaks(workspace.eval, corpora))
    leaks.push_back({{"item", leak.item},
                     {"corpus", leak.corpus},
                     {"other", leak.other},
                     {"similarity", leak.similarity},
                     {"kind", leak.kind == LeakKind::kExact        ? "exact"
                              : leak.kind == LeakKind::kNormalized ? "normalized"
                                                                   : "near"}});
  if (!leaks.empty() && !workspace.quiet)
    fmt::print(stderr,
               "! {} evaluation items stand (nearly) in training data or documents; results.json lists the pairs\n",
               leaks.size());
  return leaks;
}

// Declared comparisons are corrected together. Beside them every arm is compared with the base on the primary metric of
// each slice: exploratory.
void Compare(Workspace& workspace, Results& results) {
  const EvalOptions& eval = workspace.config.eval;
  const CompareOptions options{
      .confidence = eval.confidence, .bootstrap = eval.bootstrap, .seed = workspace.config.seed};
  for (const ComparisonConfig& declared : workspace.config.comparisons) {
    Comparison comparison =
        ComparePaired(SamplesOfArm(workspace.root, declared.better), SamplesOfArm(workspace.root, declared.than),
                      declared.slice, declared.metric, options);
    comparison.declared = true;
    results.comparisons.push_back(std::move(comparison));
  }
  const std::string& base = workspace.config.arms.front().name;
  const std::vector<Sample> base_samples = SamplesOfArm(workspace.root, base);
  for (const ArmConfig& arm : workspace.config.arms) {
    if (arm.name == base) continue;
    const std::vector<Sample> samples = SamplesOfArm(workspace.root, arm.name);
    for (const std::string& slice : results.Slices()) {
      const std::string metric = PrimaryMetricOf(workspace.eval, slice);
      if (results.Find(arm.name, slice, metric) == nullptr) continue;
      const bool is_declared = std::ranges::any_of(results.comparisons, [&](const Comparison& c) {
        return c.declared && c.better == arm.name && c.than == base && c.slice == slice && c.metric == metric;
      });
      if (!is_declared) results.comparisons.push_back(ComparePaired(samples, base_samples, slice, metric, options));
    }
  }
  CorrectDeclared(results.comparisons, options);
}

// What an update of the facts costs each arm: its index again, its training again, or nothing that would help.
void AddUpdateRows(const Workspace& workspace, Results& results) {
  std::vector<Row> rows;
  for (const ArmConfig& arm : workspace.config.arms) {
    double seconds = 0;
    bool known = false;
    for (const std::string& source : {arm.adapter, std::string(arm.prompting == Prompting::kRag ? "rag" : "")}) {
      if (source.empty() || (source == arm.adapter && arm.prompting == Prompting::kRag)) continue;
      if (const auto value = results.Value(source, kUpdateSlice, "seconds_to_update")) {
        seconds += *value;
        known = true;
      }
    }
    if (known && results.Find(arm.name, kUpdateSlice, "seconds_to_update") == nullptr)
      rows.push_back(Measured(arm.name, kUpdateSlice, "seconds_to_update", seconds));
  }
  results.rows.insert(results.rows.end(), rows.begin(), rows.end());
}

// Seconds of a query whose answer has the length this arm really gives: the first token, then as many more as its
// answers have on the mean, at the pace of the timed ones.
void AddQuerySeconds(const Workspace& workspace, Results& results) {
  for (const ArmConfig& arm : workspace.config.arms) {
    const Row* first = results.Find(arm.name, kSpeedSlice, "ttft_p50");
    const Row* all = results.Find(arm.name, kSpeedSlice, "latency_p50");
    const auto tokens = results.Value(arm.name, kTokensSlice, "output_tokens");
    if (first == nullptr || all == nullptr || !tokens) continue;
    const double share = std::max(*tokens - 1, 0.0) / (kAnswerTokens - 1);
    const auto seconds = [&](double start, double end) { return start + std::max(end - start, 0.0) * share; };
    Row row = Measured(arm.name, kSpeedSlice, "query_seconds", seconds(first->value, all->value), all->n);
    row.low = seconds(first->low.value_or(first->value), all->low.value_or(all->value));
    row.high = seconds(first->high.value_or(first->value), all->high.value_or(all->value));
    results.rows.push_back(std::move(row));
  }
}

// The adapters that arms need, as this configuration trains them. An adapter that was trained with other data or
// settings, or by a cut run, must not pass for it.
void RequireTrained(const Workspace& workspace, const std::vector<Stage>& stages) {
  for (const Stage& stage : stages) {
    const std::string name = stage.name.substr(stage.name.find(' ') + 1);
    const bool used =
        std::ranges::any_of(workspace.config.arms, [&](const ArmConfig& arm) { return arm.adapter == name; });
    const bool given = !workspace.scope.adapter_path.empty() && name == workspace.config.adapters.front().name;
    const std::filesystem::path folder = workspace.AdapterFolder(name);
    if (!used) continue;
    if (!fs::exists(folder / "adapter_model.safetensors"))
      FailInput("{}: no adapter there; run `qad train --config {}` first", folder.string(),
                workspace.config.file.string());
    if (!given && !workspace.scope.partial() && !workspace.cache.Find(stage.name, stage.inputs))
      Fail(ErrorKind::kUsage,
           "{}: was trained by a cut run, or with other data or settings than {} has now; run `qad train --config {}`",
           folder.string(), workspace.config.file.string(), workspace.config.file.string());
  }
}

}  // namespace

Results TrainAdapters(Workspace& workspace) {
  Results results;
  RunAndAppend(workspace, TrainStages(workspace), results);
  return results;
}

Results EvaluateArms(Workspace& workspace) {
  Results results;
  results.partial = workspace.scope.partial();
  results.manifest = MakeManifest(workspace);
  results.manifest["leaks"] = LeaksJson(workspace);
  results.settings = SettingsJson(workspace.config);
  for (const ArmConfig& arm : workspace.config.arms) results.arms.push_back(Describe(workspace, arm));
  const std::vector<Stage> training = TrainStages(workspace);
  RequireTrained(workspace, training);
  RunAndAppend(workspace, QuantizeStages(workspace), results);
  for (const Stage& stage : training)  // their rows, where they were trained here
    if (const auto trained = workspace.cache.Find(stage.name, stage.inputs)) Append(results, *trained);
  if (AnyRag(workspace.config)) RunAndAppend(workspace, IndexStage(workspace), results);
  RunAndAppend(workspace, EvaluateStages(workspace), results);
  RunAndAppend(workspace, BaselineStage(workspace), results);
  RunAndAppend(workspace, TextStages(workspace), results);
  RunAndAppend(workspace, SpeedStage(workspace), results);
  RunAndAppend(workspace, MemoryStages(workspace), results);
  AddUpdateRows(workspace, results);
  AddQuerySeconds(workspace, results);
  Compare(workspace, results);
  std::error_code ignored;
  fs::remove(workspace.root / "decision.json", ignored);  // it was about other results
  WriteResults(workspace.root / "results.json", results);
  return results;
}

MemoryMath MakeMemory(Workspace& workspace, const Results* results) {
  const Plan plan = PlanOf(OpenModel(workspace.model_path), WeightMode::kAsStored);
  MemoryQuery query;
  query.title = workspace.config.model;
  query.budget = workspace.config.hardware.memory > 0 ? workspace.config.hardware.memory : TotalMemoryBytes();
  const AdapterConfig& adapter = workspace.config.adapters.front();
  for (const TrainingMethod method : {TrainingMethod::kLora, TrainingMethod::kQlora})
    query.training.push_back({.method = method, .r = adapter.lora.r, .targets = adapter.lora.target_modules});
  MemoryMath math = MakeMemoryMath(plan, workspace.stored_format, true, query);
  if (results != nullptr) {
    for (const ArmInfo& arm : results->arms) {
      for (const char* what : {"weights_bytes", "kv_bytes", "workspace_bytes", "peak_rss_bytes"}) {
        const auto measured = results->Value(arm.name, kMemorySlice, what);
        const auto predicted = results->Value(arm.name, kMemorySlice, std::string(what) + "_predicted");
        if (!measured || !predicted) continue;
        math.checks.push_back({fmt::format("{}: {}", arm.name, what), static_cast<uint64_t>(*predicted),
                               static_cast<uint64_t>(*measured)});
      }
    }
  }
  WriteMemoryMath(workspace.root / "memory_math.json", math);
  return math;
}

Decision MakeDecision(const Config& config, const fs::path& root, bool allow_partial) {
  const Results results = ReadResults(root / "results.json");
  if (results.partial && !allow_partial)
    Fail(ErrorKind::kUsage,
         "{}: comes from a run cut by --max-train-samples or --max-eval-samples, on which nothing can be decided; "
         "run `qad run --config {}`, or give --allow-partial to exercise the rules",
         (root / "results.json").string(), config.file.string());
  Decision decision = Decide(results, SamplesOf(root, results), config.decide, 1000, config.seed);
  WriteDecision(root / "decision.json", decision);
  return decision;
}

std::vector<fs::path> RenderPack(const fs::path& root) {
  Pack pack{.results = ReadResults(root / "results.json"), .samples = {}, .memory = {}, .decision = {}};
  pack.samples = SamplesOf(root, pack.results);
  const fs::path memory = root / "memory_math.json", decision = root / "decision.json";
  if (fs::exists(memory)) pack.memory = ReadMemoryMath(memory);
  if (fs::exists(decision)) pack.decision = ReadDecision(decision);
  WritePack(pack, root);
  std::vector<fs::path> written;
  for (const char* name : {"decision_memo.md", "benchmark_results.md", "memory_math.md", "report.html"})
    if (fs::exists(root / name)) written.push_back(root / name);
  return written;
}

Decision RunAll(Workspace& workspace) {
  MakeFolders(workspace.root);
  MakeMemory(workspace, nullptr);
  TrainAdapters(workspace);
  const Results results = EvaluateArms(workspace);
  MakeMemory(workspace, &results);
  return MakeDecision(workspace.config, workspace.root, true);
}

}  // namespace qad

#include "experiment/run.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "experiment/declared.h"
#include "experiment/derived.h"
#include "experiment/leak_guard.h"
#include "experiment/manifest.h"
#include "experiment/pack.h"
#include "experiment/stages.h"
#include "experiment/weights.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Says what happens, does it, says how long it took.
void RunAndAppend(Workspace& workspace, const Stage& stage, Results& all) {
  ThrowIfInterrupted();
  const bool cached = FindStage(workspace, stage).has_value();
  if (!workspace.quiet)
    fmt::print(stderr, "{} {}\n", cached ? "=" : ">", stage.label + (cached ? " (done before)" : ""));
  const auto start = std::chrono::steady_clock::now();
  const Results made = RunStage(workspace, stage);
  Append(all, made);
  for (const char* key : {"load_before", "load_after", "ceilings"})
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

// An adapter of another base fails here, before anything is made.
void RequireOwnBase(Workspace& workspace, const fs::path& folder) {
  const std::string trained_on = ReadPeftAdapter(folder).config.base_sha256;
  if (!trained_on.empty() && trained_on != workspace.ModelHash())
    FailInput("{}: was trained on other weights (sha256 {}…) than {} holds ({}…); give the adapter of this model",
              folder.string(), trained_on.substr(0, 12), workspace.config.model, workspace.ModelHash().substr(0, 12));
  workspace.models.Get(workspace.config.adapters.front().base, folder);
}

// Of the weights that adapters are trained on.
std::vector<Stage> BaseStages(Workspace& workspace) {
  std::vector<Stage> bases;
  const std::vector<WeightsRecipe> recipes = MadeWeights(workspace.config);
  const std::vector<Stage> stages = QuantizeStages(workspace);  // one for each recipe
  for (size_t i = 0; i < recipes.size(); ++i)
    if (std::ranges::find(workspace.config.adapters, recipes[i].weights, &AdapterConfig::base) !=
        workspace.config.adapters.end())
      bases.push_back(stages[i]);
  return bases;
}

std::string AdapterOf(const Stage& training) { return training.name.substr(training.name.find(' ') + 1); }

bool IsUsed(const Workspace& workspace, const std::string& adapter) {
  const auto uses = [&](const ArmConfig& arm) { return arm.adapter == adapter; };
  return std::ranges::any_of(workspace.config.arms, uses) || std::ranges::any_of(workspace.config.text_only, uses);
}

// Trainings are of the configuration, also where an adapter from elsewhere is evaluated beside them.
std::optional<Results> FindTraining(const Workspace& workspace, const Stage& training) {
  const fs::path root = workspace.scope.partial() ? workspace.root : workspace.config.output;
  return StageCache(root / "cache").Find(training.name, training.inputs);
}

// The adapters that arms need, as this configuration trains them. An adapter that was trained with other data or
// settings, or by a cut run, must not pass for it.
void RequireTrained(Workspace& workspace, const std::vector<Stage>& stages) {
  for (const Stage& stage : stages) {
    const std::string name = AdapterOf(stage);
    const bool given = !workspace.scope.adapter_path.empty() && name == workspace.config.adapters.front().name;
    const std::filesystem::path folder = workspace.AdapterFolder(name);
    if (!IsUsed(workspace, name)) continue;
    if (!fs::exists(folder / "adapter_model.safetensors"))
      FailInput("{}: no adapter there; run `qad train --config {}` first", folder.string(),
                workspace.config.file.string());
    if (given) RequireOwnBase(workspace, folder);
    if (!given && !workspace.scope.partial() && !FindTraining(workspace, stage))
      Fail(ErrorKind::kUsage,
           "{}: was trained by a cut run, or with other data or settings than {} has now; run `qad train --config {}`",
           folder.string(), workspace.config.file.string(), workspace.config.file.string());
  }
}

bool IsSameQuestion(const Comparison& a, const Comparison& b) {
  return a.better == b.better && a.than == b.than && a.slice == b.slice && a.metric == b.metric &&
         a.declared == b.declared;
}

// Whether `path` holds what was just found again, so that a decision on it still stands.
bool SameMeasurements(const fs::path& path, const Results& results) {
  if (!fs::exists(path)) return false;
  try {
    const Results before = ReadResults(path);
    return RowsToJson(before.rows) == RowsToJson(results.rows) && before.settings == results.settings &&
           before.arms.size() == results.arms.size() &&
           std::ranges::equal(before.comparisons, results.comparisons, IsSameQuestion) &&
           std::ranges::all_of(
               std::array{"samples", "leaks", "adapters", "floors", "margin", "confidence", "withdrawn"},
               [&](const char* part) {
                 return before.manifest.value(part, Json()) == results.manifest.value(part, Json());
               });
  } catch (const Error&) {
    return false;  // damaged, or of another version: it is written anew
  }
}

// Which adapters are measured: their folders and hashes, and the rows of their training where it was this
// configuration's.
void AddAdapters(Workspace& workspace, const std::vector<Stage>& training, Results& results) {
  for (const Stage& stage : training) {
    const std::string name = AdapterOf(stage);
    const fs::path folder = workspace.AdapterFolder(name), file = folder / "adapter_model.safetensors";
    if (!IsUsed(workspace, name) || !fs::exists(file)) continue;
    const std::string hash = Sha256File(file);
    const auto trained = FindTraining(workspace, stage);
    const bool own = trained && std::ranges::any_of(trained->manifest["outputs"],
                                                    [&](const Json& output) { return output == hash; });
    if (own) Append(results, *trained);
    results.manifest["adapters"][name] = {{"folder", folder.string()}, {"sha256", hash}, {"trained_here", own}};
    if (!workspace.quiet)
      fmt::print(stderr, "{} adapter {}: {} (sha256 {}…){}\n", own || workspace.scope.partial() ? "=" : "!", name,
                 folder.string(), hash.substr(0, 12),
                 own                         ? ""
                 : workspace.scope.partial() ? ", not trained under these limits"
                                             : ", of another training than this configuration describes");
  }
}

}  // namespace

Results TrainAdapters(Workspace& workspace) {
  RequireWritable(workspace.root);
  RequireCleanCalibration(workspace);
  RequireMakeable(workspace);
  Results results;
  RunAndAppend(workspace, BaseStages(workspace), results);
  RunAndAppend(workspace, TrainStages(workspace), results);
  return results;
}

Results EvaluateArms(Workspace& workspace) {
  RequireWritable(workspace.root);
  RequireEndpoints(workspace);
  RequireCleanCalibration(workspace);
  RequireMakeable(workspace);
  Results results;
  results.partial = workspace.scope.partial();
  results.manifest = MakeManifest(workspace);
  results.manifest["leaks"] = LeaksJson(workspace);
  results.settings = SettingsJson(workspace.config);
  const Declared declared = DeclareBeforehand(workspace.root, workspace.config);
  results.manifest["floors"] = declared.floors;
  results.manifest["margin"] = declared.margin;
  results.manifest["confidence"] = declared.confidence;
  results.manifest["withdrawn"] = declared.withdrawn;
  if (workspace.root.filename() == kOtherAdapterFolder)
    results.manifest["other_adapter"] = workspace.scope.adapter_path.string();
  for (const ArmConfig& arm : workspace.config.arms) results.arms.push_back(Describe(workspace, arm));
  const std::vector<Stage> training = TrainStages(workspace);
  RequireTrained(workspace, training);
  RunAndAppend(workspace, QuantizeStages(workspace), results);
  RunAndAppend(workspace, ExportStages(workspace), results);
  AddAdapters(workspace, training, results);
  if (AnyRag(workspace.config)) RunAndAppend(workspace, IndexStage(workspace), results);
  RunAndAppend(workspace, EvaluateStages(workspace), results);
  RunAndAppend(workspace, ControlStages(workspace), results);
  RunAndAppend(workspace, BaselineStage(workspace), results);
  RunAndAppend(workspace, ParityStages(workspace), results);
  RunAndAppend(workspace, TextStages(workspace), results);
  RunAndAppend(workspace, ZeroShotStages(workspace), results);
  RunAndAppend(workspace, SpeedStage(workspace), results);
  RunAndAppend(workspace, MemoryStages(workspace), results);
  AddDerived(workspace, declared.beforehand, results);
  for (const ArmInfo& arm : results.arms) {
    const std::string name = SamplesFileName(arm.name);
    if (const fs::path path = workspace.root / "samples" / name; fs::exists(path))
      results.manifest["samples"][name] = Sha256File(path);
  }
  const fs::path path = workspace.root / "results.json";
  const bool same = SameMeasurements(path, results);
  KeepDeclared(workspace.root, workspace.config);
  WriteResults(path, results);
  std::error_code ignored;
  if (!same) fs::remove(workspace.root / "decision.json", ignored);  // it was about other results
  return results;
}

Pack RunAll(Workspace& workspace) {
  MakeFolders(workspace.root);
  RequireEndpoints(workspace);
  RequireCleanCalibration(workspace);
  RequireMakeable(workspace);
  if (!fs::exists(workspace.root / "memory_math.json")) MakeMemory(workspace, nullptr);
  TrainAdapters(workspace);
  const Results results = EvaluateArms(workspace);
  MakeMemory(workspace, &results);
  Pack pack = ReadMeasured(workspace.root);
  MakeDecision(workspace.config, workspace.root, pack, true);
  return pack;
}

}  // namespace qad

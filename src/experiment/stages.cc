#include "experiment/stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "adapt/gguf_adapter.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "experiment/arms.h"
#include "results/statistics.h"

namespace qad {
namespace {

std::string_view PromptingWord(Prompting prompting) {
  switch (prompting) {
    case Prompting::kZeroShot:
      return "";
    case Prompting::kFewShot:
      return "few-shot";
    case Prompting::kRag:
      return "rag";
  }
  return "";
}

// What the user reads as the arm's weights.
std::string WeightsWord(const Workspace& workspace, const std::string& weights) {
  return weights == "as-stored" ? workspace.stored_format : weights;
}

// The command that answers one question with this arm.
std::string AskCommand(const Workspace& workspace, const ArmConfig& arm) {
  return fmt::format("qad ask --config {} --arm \"{}\" \"your question\"", workspace.config.file.string(), arm.name);
}

StageCache CacheOf(const Workspace& workspace, const Stage& stage) {
  return stage.of_every_run ? StageCache(workspace.config.output / "cache") : workspace.cache;
}

}  // namespace

std::optional<Results> FindStage(const Workspace& workspace, const Stage& stage) {
  return CacheOf(workspace, stage).Find(stage.name, stage.inputs);
}

Results RunStage(const Workspace& workspace, const Stage& stage) {
  return CacheOf(workspace, stage).Get(stage.name, stage.inputs, stage.outputs, stage.run);
}

Model& ModelOf(Workspace& workspace, const ArmConfig& arm) {
  if (arm.endpoint) return workspace.models.Get("bf16");
  const std::filesystem::path adapter = workspace.AttachedAdapter(arm);
  const bool is_file = IsGgufAdapter(adapter);
  if (!adapter.empty() && !std::filesystem::exists(adapter)) MendSwaps(adapter);  // a kill may have left it beside
  if (!adapter.empty() && !std::filesystem::exists(is_file ? adapter : adapter / "adapter_model.safetensors"))
    FailInput("{}: no adapter there; run `qad {} --config {}` first", adapter.string(), is_file ? "run" : "train",
              workspace.config.file.string());
  return workspace.models.Get(arm.weights, adapter);
}

void RequireMade(Workspace& workspace, const ArmConfig& arm) {
  const bool from_file = IsGgufAdapter(workspace.AttachedAdapter(arm));
  if (!arm.merged && !from_file) return;
  const std::string name = arm.merged ? "quantize: " + arm.weights : "convert: " + arm.adapter;
  const std::vector<Stage> stages = arm.merged ? QuantizeStages(workspace) : ExportStages(workspace);
  const auto stage = std::ranges::find(stages, name, &Stage::name);
  if (stage != stages.end() && FindStage(workspace, *stage)) return;
  Fail(ErrorKind::kUsage,
       "{}: of another training than the one in {} now, or not made yet; `qad run --config {}` makes it", arm.name,
       workspace.AdapterFolder(arm.adapter).string(), workspace.config.file.string());
}

void RequireEndpoints(Workspace& workspace) {
  const std::vector<Stage> stages = EvaluateStages(workspace);  // one for each arm
  const bool timed = FindStage(workspace, SpeedStage(workspace)).has_value();
  for (size_t i = 0; i < stages.size(); ++i) {
    const ArmConfig& arm = workspace.config.arms[i];
    if (arm.endpoint && !(timed && FindStage(workspace, stages[i]))) Endpoint(arm.endpoint->options).RequireThere();
  }
}

Json AdapterInputs(const Workspace& workspace, const std::string& adapter) {
  Json inputs;
  const std::filesystem::path folder = workspace.AdapterFolder(adapter);
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json"})
    inputs[name] = std::filesystem::exists(folder / name) ? Sha256File(folder / name) : "not trained yet";
  return inputs;
}

Json ArmInputs(const Workspace& workspace, const ArmConfig& arm) {
  if (arm.endpoint)
    return {{"program", ProgramSha256()},
            {"model", workspace.ModelHash()},  // its tokenizer says which items fit
            {"endpoint", arm.endpoint->options.url},
            {"name", arm.endpoint->options.model}};
  Json inputs = {{"program", ProgramSha256()}, {"model", workspace.ModelHash()}, {"weights", arm.weights}};
  for (const WeightsRecipe& recipe : MadeWeights(workspace.config))
    if (recipe.weights == arm.weights) inputs["made"] = WeightsInputs(workspace, recipe);
  if (!arm.adapter.empty()) inputs.update(AdapterInputs(workspace, arm.adapter));
  return inputs;
}

std::vector<Row> Summarize(const Workspace& workspace, const std::vector<Sample>& samples) {
  const EvalOptions& eval = workspace.config.eval;
  return SummarizeSamples(samples, eval.confidence, eval.bootstrap, workspace.config.seed);
}

Row Measured(const std::string& arm, std::string_view slice, const std::string& metric, double value, int64_t n) {
  return {.arm = arm, .slice = std::string(slice), .metric = metric, .value = value, .low = {}, .high = {}, .n = n};
}

ArmInfo Describe(const Workspace& workspace, const ArmConfig& arm) {
  if (arm.endpoint)
    return {.name = arm.name,
            .weights = arm.endpoint->options.model,
            .made = "as the endpoint has it",
            .adapter = {},
            .prompting = std::string(PromptingWord(arm.prompting)),
            .artefact = arm.endpoint->options.url,
            .command = AskCommand(workspace, arm),
            .remote = true,
            .moving_parts = arm.prompting == Prompting::kZeroShot ? 1 : 2};
  ArmInfo info{.name = arm.name,
               .weights = WeightsWord(workspace, arm.weights),
               .made = RecipeOf(arm.weights).HowMade(workspace.config.quantize.error_feedback),
               .adapter = arm.adapter,
               .prompting = std::string(PromptingWord(arm.prompting)),
               .artefact = {},
               .command = AskCommand(workspace, arm)};
  const std::filesystem::path attached = workspace.AttachedAdapter(arm);
  info.artefact = attached.empty() ? workspace.models.SourceOf(arm.weights) : attached.string();
  info.replica_of = arm.replica_of;
  if (const AdapterConfig* adapter = FindAdapter(workspace.config, arm.adapter)) {
    info.retrained = adapter->after_update;
    info.deployed = DeploymentOf(*adapter, arm);
  }
  info.moving_parts =
      (arm.weights == "bf16" ? 0 : 1) + (attached.empty() ? 0 : 1) + (arm.prompting == Prompting::kZeroShot ? 0 : 1);
  return info;
}

}  // namespace qad

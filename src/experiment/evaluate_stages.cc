// The stages that score: arms over items, baselines without a model, general text.
#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "base/hash.h"
#include "evaluate/baselines.h"
#include "evaluate/metrics.h"
#include "evaluate/perplexity.h"
#include "experiment/arms.h"
#include "experiment/evaluate_arm.h"
#include "experiment/general_text.h"
#include "experiment/stages.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

Json ItemInputs(const Workspace& workspace) {
  return {{"eval", Sha256File(workspace.config.data.eval)},
          {"train", Sha256File(workspace.config.data.train)},
          {"max_eval_samples", workspace.scope.max_eval_samples},
          {"max_train_samples", workspace.scope.max_train_samples},
          {"confidence", workspace.config.eval.confidence},
          {"bootstrap", workspace.config.eval.bootstrap},
          {"seed", workspace.config.seed}};
}

// What decides from which score on there is an answer.
Json RefusalInputs(const Config& config) {
  const bool calibrated = config.rag.refuse == "calibrated" && !config.data.dev.empty();
  return {{"refuse", config.rag.refuse}, {"dev", calibrated ? Sha256File(config.data.dev) : ""}};
}

// The last windows of the general text.
std::vector<TokenId> GeneralTokens(const Model& model, size_t windows, size_t context) {
  std::vector<TokenId> tokens = model.tokenizer.Encode(GeneralText());
  const size_t wanted = windows * context;
  if (tokens.size() > wanted) tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(wanted));
  return tokens;
}

Results TextOf(Workspace& workspace, const ArmConfig& arm) {
  const bool is_base = arm.weights == "bf16" && arm.adapter.empty();
  // The reference and the arm are two transformers even where they share weights: an adapter sits on one of them.
  Model reference = LoadModel(workspace.config.model, WeightMode::kBF16);
  Context reference_context(Numerics::kFast, workspace.context.threads);
  Model& model = ModelOf(workspace, arm);
  const size_t context = std::min(kTextContext, model.config().max_positions);
  const std::vector<TokenId> tokens = GeneralTokens(model, workspace.scope.partial() ? 1 : kTextWindows, context);
  Results results;
  if (tokens.size() < context) return results;  // not measured on a system without these texts
  const ScoredModel scored{&workspace.context, &model.transformer}, other{&reference_context, &reference.transformer};
  PerplexityOptions options{
      .context = context, .protocol = WindowProtocol::kAll, .max_windows = 0, .bos = {}, .quiet = true};
  if (model.tokenizer.add_bos()) options.bos = model.tokenizer.bos();
  // Window by window: tokens of one text are not independent of each other, its parts nearly are.
  std::vector<double> losses, more, divergences, same;
  int64_t n = 0;
  for (size_t at = 0; at + context <= tokens.size(); at += context) {
    const PerplexityResult window =
        Perplexity(scored, is_base ? nullptr : &other, std::span(tokens).subspan(at, context), options);
    losses.push_back(std::log(window.perplexity));
    if (window.has_reference) more.push_back(losses.back() - std::log(window.reference_perplexity));
    divergences.push_back(window.kl_divergence);
    same.push_back(window.same_top1);
    n += static_cast<int64_t>(window.tokens);
  }
  const auto add = [&](const char* metric, const std::vector<double>& windows, double (*scale)(double)) {
    const MeanInterval mean = MeanOf(windows, workspace.config.eval.confidence);
    Row row = Measured(arm.name, kTextSlice, metric, scale(mean.mean), n);
    if (mean.interval) {
      row.low = scale(mean.interval->low);
      row.high = scale(mean.interval->high);
    }
    results.rows.push_back(std::move(row));
  };
  const auto as_is = [](double value) { return value; };
  const auto exponential = [](double loss) { return std::exp(loss); };
  add("perplexity", losses, exponential);
  if (is_base) return results;
  add("perplexity_ratio", more, exponential);
  add("kl_divergence", divergences, as_is);
  add("same_top1", same, as_is);
  return results;
}

}  // namespace

Json AnswerInputs(Workspace& workspace, const ArmConfig& arm) {
  const Config& config = workspace.config;
  Json inputs = ItemInputs(workspace);
  inputs["arm"] = ArmInputs(workspace, arm);
  inputs["prompting"] = static_cast<int>(arm.prompting);
  inputs["max_new_tokens"] = config.eval.max_new_tokens;
  inputs["temperature"] = config.eval.temperature;
  inputs["max_length"] = config.data.max_length;
  inputs["system_prompt"] = config.data.system_prompt;
  if (arm.prompting == Prompting::kFewShot) inputs["shots"] = {config.few_shot.examples, config.few_shot.select};
  if (arm.prompting == Prompting::kRag) {
    inputs["documents"] = IndexStage(workspace).inputs;
    inputs["search"] = workspace.SearchInputs();
    inputs["refuse"] = RefusalInputs(config);
  }
  return inputs;
}

std::vector<Stage> EvaluateStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const ArmConfig& arm : workspace.config.arms) {
    const fs::path samples = workspace.root / "samples" / SamplesFileName(arm.name);
    Stage stage{.name = "eval: " + arm.name,
                .label = "evaluate " + arm.name,
                .inputs = AnswerInputs(workspace, arm),
                .outputs = {samples},
                .run = {}};
    stage.run = [&workspace, arm, samples, inputs = stage.inputs] {
      return EvaluateArm(workspace, arm, samples, inputs);
    };
    stages.push_back(std::move(stage));
  }
  return stages;
}

Stage BaselineStage(Workspace& workspace) {
  Stage stage{.name = "baselines",
              .label = "baselines without a language model",
              .inputs = ItemInputs(workspace),
              .outputs = {},
              .run = {}};
  stage.inputs["program"] = ProgramSha256();
  const fs::path folder = workspace.root / "samples";
  stage.run = [&workspace, folder] {
    Results results;
    const std::vector<Sample> all = ModelFreeBaselines(workspace.train, workspace.eval);
    results.arms = BaselineArms(all);
    for (const ArmInfo& arm : results.arms) {
      std::vector<Sample> samples;
      std::ranges::copy_if(all, std::back_inserter(samples),
                           [&](const Sample& sample) { return sample.arm == arm.name; });
      WriteSamples(folder / SamplesFileName(arm.name), samples);
      const std::vector<Row> rows = Summarize(workspace, samples);
      results.rows.insert(results.rows.end(), rows.begin(), rows.end());
    }
    return results;
  };
  return stage;
}

std::vector<Stage> TextStages(Workspace& workspace) {
  std::vector<Stage> stages;
  const std::string text_hash = Sha256(GeneralText());
  for (const ArmConfig& arm : FormsOf(workspace.config)) {
    Stage stage{
        .name = "text: " + arm.name,
        .label = "general text, " + arm.name,
        .inputs = {{"arm", ArmInputs(workspace, arm)}, {"text", text_hash}, {"partial", workspace.scope.partial()}},
        .outputs = {},
        .run = {}};
    stage.run = [&workspace, arm] { return TextOf(workspace, arm); };
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace qad

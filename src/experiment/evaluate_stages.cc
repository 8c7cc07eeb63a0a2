// The stages that score: arms over items, baselines without a model, general text.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/random.h"
#include "evaluate/baselines.h"
#include "evaluate/metrics.h"
#include "evaluate/perplexity.h"
#include "experiment/stages.h"
#include "model/generation.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kBatchItems = 64;      // items between two advances of the bar
constexpr size_t kBatchSequences = 16;  // sequences in flight
constexpr size_t kTextWindows = 8, kTextContext = 512;

Json ItemInputs(const Workspace& workspace) {
  return {{"eval", Sha256File(workspace.config.data.eval)},
          {"train", Sha256File(workspace.config.data.train)},
          {"max_eval_samples", workspace.scope.max_eval_samples},
          {"max_train_samples", workspace.scope.max_train_samples},
          {"confidence", workspace.config.eval.confidence},
          {"bootstrap", workspace.config.eval.bootstrap},
          {"seed", workspace.config.seed}};
}

// What evaluation of one arm holds while it goes through the items.
struct ArmRun {
  Workspace& workspace;
  const ArmConfig& arm;
  Model& model;
  std::vector<std::string> refusals;
  std::vector<Sample> samples = {};
  int64_t skipped = 0;
};

// The sentences that the data itself refuses with.
std::vector<std::string> Refusals(const Workspace& workspace) {
  std::vector<std::string> sentences = RefusalSentences(workspace.train);
  for (std::string& sentence : RefusalSentences(workspace.eval))
    if (std::ranges::find(sentences, sentence) == sentences.end()) sentences.push_back(std::move(sentence));
  return sentences;
}

// The reference answer's mean log p per token, where the arm's prompt stands before it.
void AddLikelihoods(ArmRun& run, const std::vector<std::vector<TokenId>>& prompts,
                    const std::vector<const Item*>& items, size_t first_sample) {
  std::vector<std::vector<TokenId>> answers;
  for (const Item* item : items) answers.push_back(run.model.tokenizer.Encode(item->completion));
  const std::vector<double> logs = ScoreCompletions(run.workspace.context, run.model.transformer, prompts, answers);
  for (size_t i = 0; i < items.size(); ++i)
    if (!answers[i].empty())
      run.samples[first_sample + i].scores["answer_log_likelihood"] = logs[i] / static_cast<double>(answers[i].size());
}

void RunItems(ArmRun& run, const PromptMaker& maker, std::span<const Item> items) {
  const EvalOptions& eval = run.workspace.config.eval;
  const size_t limit = std::min<size_t>(static_cast<size_t>(run.workspace.config.data.max_length),
                                        run.model.config().max_positions - static_cast<size_t>(eval.max_new_tokens));
  std::vector<std::vector<TokenId>> prompts;
  std::vector<const Item*> kept;
  std::vector<Prompt> made;
  for (const Item& item : items) {
    Prompt prompt = maker.Make(run.model, run.arm, item);
    if (prompt.tokens.empty() || prompt.tokens.size() > limit) {
      ++run.skipped;  // counted and reported, never cut
      continue;
    }
    prompts.push_back(prompt.tokens);
    kept.push_back(&item);
    made.push_back(std::move(prompt));
  }
  if (prompts.empty()) return;
  GenerateOptions options;
  options.max_new_tokens = eval.max_new_tokens;
  options.temperature = eval.temperature;
  options.seed = MixBits(run.workspace.config.seed ^ run.samples.size());
  options.max_batch = kBatchSequences;
  const std::vector<Generated> answers =
      Generate(run.workspace.context, run.model.transformer, run.model.tokenizer, prompts, options);
  const size_t first = run.samples.size();
  for (size_t i = 0; i < kept.size(); ++i) {
    const Item& item = *kept[i];
    Sample sample = StartSample(run.arm.name, item);
    sample.prompt_tokens = static_cast<int64_t>(prompts[i].size());
    sample.output_tokens = static_cast<int64_t>(answers[i].tokens.size());
    sample.truncated = answers[i].truncated;
    sample.seconds = answers[i].seconds;
    sample.output = run.model.tokenizer.Decode(answers[i].tokens);
    if (made[i].nothing_found) {  // what the model says without passages is not this arm's answer
      sample.output = RefusalOf(run.workspace);
      sample.output_tokens = 0;
      sample.truncated = false;
    }
    sample.passages = made[i].passages;
    sample.scores =
        ScoreAnswer({.item = item, .output = sample.output, .truncated = sample.truncated, .refusals = run.refusals});
    run.samples.push_back(std::move(sample));
  }
  AddLikelihoods(run, prompts, kept, first);
}

Results EvaluateArm(Workspace& workspace, const ArmConfig& arm, const fs::path& samples_file) {
  const fs::path adapter = arm.adapter.empty() ? fs::path() : workspace.AdapterFolder(arm.adapter);
  if (!adapter.empty() && !fs::exists(adapter / "adapter_model.safetensors"))
    FailInput("{}: no adapter there; run `qad train --config {}` first", adapter.string(),
              workspace.config.file.string());
  ArmRun run{workspace, arm, workspace.models.Get(arm.weights, adapter), Refusals(workspace)};
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  const PromptMaker maker(workspace, index.get());
  Progress progress("evaluate " + arm.name, static_cast<double>(workspace.eval.size()), "items", workspace.quiet);
  const std::span<const Item> items(workspace.eval);
  for (size_t at = 0; at < items.size(); at += kBatchItems) {
    const size_t count = std::min(kBatchItems, items.size() - at);
    RunItems(run, maker, items.subspan(at, count));
    progress.Advance(static_cast<double>(count));
  }
  if (run.samples.empty()) FailInput("arm {}: every evaluation item is longer than data.max_length allows", arm.name);
  WriteSamples(samples_file, run.samples);
  Results results;
  results.rows = SummarizeSamples(run.samples, workspace.config.eval.confidence, workspace.config.eval.bootstrap,
                                  workspace.config.seed);
  double prompt_tokens = 0, output_tokens = 0;
  for (const Sample& sample : run.samples) {
    prompt_tokens += static_cast<double>(sample.prompt_tokens);
    output_tokens += static_cast<double>(sample.output_tokens);
  }
  const auto n = static_cast<int64_t>(run.samples.size());
  results.rows.push_back(Measured(arm.name, kTokensSlice, "prompt_tokens", prompt_tokens / static_cast<double>(n), n));
  results.rows.push_back(Measured(arm.name, kTokensSlice, "output_tokens", output_tokens / static_cast<double>(n), n));
  results.rows.push_back(
      Measured(arm.name, kTokensSlice, "skipped_items", static_cast<double>(run.skipped), n + run.skipped));
  if (index != nullptr) {
    const RetrievalQuality quality = MeasureRetrieval(*index, workspace.eval, workspace.config.rag.top_k);
    if (quality.n > 0) {
      results.rows.push_back(Measured(arm.name, kRetrievalSlice, "recall_at_1", quality.recall_at_1, quality.n));
      results.rows.push_back(Measured(arm.name, kRetrievalSlice,
                                      fmt::format("recall_at_{}", workspace.config.rag.top_k), quality.recall_at_k,
                                      quality.n));
      results.rows.push_back(Measured(arm.name, kRetrievalSlice, "mrr", quality.mean_reciprocal_rank, quality.n));
    }
  }
  return results;
}

// The licence texts that every Debian carries: general text of no relation to any domain set. Empty where absent.
std::string GeneralText() {
  std::string text;
  for (const char* name : {"GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3"}) {
    const fs::path path = fs::path("/usr/share/common-licenses") / name;
    if (fs::exists(path)) text += ReadTextFile(path);
  }
  return text;
}

// The last windows of the general text.
std::vector<TokenId> GeneralTokens(const Model& model, size_t context) {
  std::vector<TokenId> tokens = model.tokenizer.Encode(GeneralText());
  const size_t wanted = kTextWindows * context;
  if (tokens.size() > wanted) tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(wanted));
  return tokens;
}

Results TextOf(Workspace& workspace, const ArmConfig& arm) {
  const bool is_base = arm.weights == "bf16" && arm.adapter.empty();
  // The reference and the arm are two transformers even where they share weights: an adapter sits on one of them.
  Model reference = LoadModel(workspace.config.model, WeightMode::kBF16);
  Context reference_context(Numerics::kFast, workspace.context.threads);
  Model& model =
      workspace.models.Get(arm.weights, arm.adapter.empty() ? fs::path() : workspace.AdapterFolder(arm.adapter));
  const size_t context = std::min(kTextContext, model.config().max_positions);
  const std::vector<TokenId> tokens = GeneralTokens(model, context);
  Results results;
  if (tokens.size() < context) return results;  // not measured on a system without these texts
  const ScoredModel scored{&workspace.context, &model.transformer}, other{&reference_context, &reference.transformer};
  const PerplexityOptions options{
      .context = context, .protocol = WindowProtocol::kAll, .max_windows = 0, .bos = {}, .quiet = true};
  const PerplexityResult result = Perplexity(scored, is_base ? nullptr : &other, tokens, options);
  const auto n = static_cast<int64_t>(result.tokens);
  const auto add = [&](const char* metric, double value, double error) {
    Row row = Measured(arm.name, kTextSlice, metric, value, n);
    row.low = value - 1.96 * error;
    row.high = value + 1.96 * error;
    results.rows.push_back(std::move(row));
  };
  add("perplexity", result.perplexity, result.perplexity_stderr);
  if (is_base) return results;
  add("kl_divergence", result.kl_divergence, result.kl_stderr);
  results.rows.push_back(Measured(arm.name, kTextSlice, "same_top1", result.same_top1, n));
  return results;
}

}  // namespace

std::vector<Stage> EvaluateStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const ArmConfig& arm : workspace.config.arms) {
    const fs::path samples = workspace.root / "samples" / SamplesFileName(arm.name);
    Stage stage{.name = "eval: " + arm.name,
                .label = "evaluate " + arm.name,
                .inputs = ItemInputs(workspace),
                .outputs = {samples},
                .run = {}};
    stage.inputs["arm"] = ArmInputs(workspace, arm);
    stage.inputs["prompting"] = static_cast<int>(arm.prompting);
    stage.inputs["max_new_tokens"] = workspace.config.eval.max_new_tokens;
    stage.inputs["temperature"] = workspace.config.eval.temperature;
    stage.inputs["max_length"] = workspace.config.data.max_length;
    stage.inputs["system_prompt"] = workspace.config.data.system_prompt;
    if (arm.prompting == Prompting::kFewShot) stage.inputs["shots"] = workspace.config.few_shot.examples;
    if (arm.prompting == Prompting::kRag) {
      stage.inputs["top_k"] = workspace.config.rag.top_k;
      stage.inputs["documents"] = IndexStage(workspace).inputs;
    }
    stage.run = [&workspace, arm, samples] { return EvaluateArm(workspace, arm, samples); };
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
      const std::vector<Row> rows = SummarizeSamples(samples, workspace.config.eval.confidence,
                                                     workspace.config.eval.bootstrap, workspace.config.seed);
      results.rows.insert(results.rows.end(), rows.begin(), rows.end());
    }
    return results;
  };
  return stage;
}

std::vector<Stage> TextStages(Workspace& workspace) {
  std::vector<ArmConfig> arms;
  std::set<std::string> seen;
  // Prompting is no part of it: one row for each pair of weights and adapter, under the first arm that has it.
  std::set<std::pair<std::string, std::string>> pairs;
  for (const ArmConfig& arm : workspace.config.arms) {
    seen.insert(arm.name);
    if (pairs.insert({arm.weights, arm.adapter}).second) arms.push_back(arm);
  }
  if (seen.contains("int8") && seen.insert("int8-per-tensor").second)
    arms.push_back(
        {.name = "int8-per-tensor", .weights = "int8-per-tensor", .adapter = {}, .prompting = Prompting::kZeroShot});
  std::vector<Stage> stages;
  const std::string text_hash = Sha256(GeneralText());
  for (const ArmConfig& arm : arms) {
    Stage stage{.name = "text: " + arm.name,
                .label = "general text, " + arm.name,
                .inputs = {{"arm", ArmInputs(workspace, arm)}, {"text", text_hash}},
                .outputs = {},
                .run = {}};
    stage.run = [&workspace, arm] { return TextOf(workspace, arm); };
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace qad

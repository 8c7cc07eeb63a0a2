// The stages that train adapters.
#include <fmt/format.h>

#include <algorithm>

#include "adapt/trainer.h"
#include "base/hash.h"
#include "base/huge_pages.h"
#include "base/process.h"
#include "base/units.h"
#include "experiment/dev_set.h"
#include "experiment/manifest.h"
#include "experiment/stages.h"
#include "experiment/weights.h"
#include "retrieve/prompt.h"
#include "text/prompt.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// What evaluation puts before the model without retrieval; passages are those that an item brings along.
PromptFor EvaluationPrompt(const Workspace& workspace) {
  return [&workspace](const Item& item) {
    return PutPassages(BuildMessages(item, workspace.config.data.system_prompt), item.passages).messages;
  };
}

struct TrainingData {
  std::vector<Item> train, dev;
};

// Whether the adapter only ever answers with passages before it: then it is validated so.
bool AnswersFromPassages(const Config& config, const std::string& adapter) {
  const auto uses = [&](const ArmConfig& arm) { return arm.adapter == adapter; };
  const auto without = [&](const ArmConfig& arm) { return uses(arm) && arm.prompting != Prompting::kRag; };
  return !config.data.documents.empty() && std::ranges::any_of(config.arms, uses) &&
         std::ranges::none_of(config.arms, without);
}

// Validation is on data.dev, or on a share of the adapter's own data where there is none.
TrainingData DataOf(Workspace& workspace, const AdapterConfig& config) {
  const bool own = config.data != workspace.config.data.train;
  TrainingData data{
      .train = own ? TakeInTurn(LoadDataset(config.data), workspace.scope.max_train_samples) : workspace.train,
      .dev = workspace.dev};
  if (data.dev.empty())
    data.dev = SplitDev(data.train, config.train.dev_fraction, workspace.config.seed);
  else if (AnswersFromPassages(workspace.config, config.name))
    data.dev = WithPassages(workspace, std::move(data.dev));
  return data;
}

ExampleSet ExamplesOf(const Workspace& workspace, const Model& model, std::span<const Item> items,
                      bool completion_only) {
  const size_t longest = std::min(static_cast<size_t>(workspace.config.data.max_length), model.config().max_positions);
  return MakeExamples(model.tokenizer, model.chat, items, EvaluationPrompt(workspace), completion_only, longest);
}

// The mean over slices of each slice's share of right answers: slices count alike, however many items they have.
double MeanOverSlices(const std::map<std::string, double>& shares) {
  double sum = 0;
  for (const auto& [slice, share] : shares) sum += share;
  return sum / static_cast<double>(shares.size());
}

Curve LearningCurve(const std::string& name, const TrainResult& trained) {
  Curve curve{.arm = name,
              .steps = {},
              .losses = trained.losses,
              .tokens_per_second = {},
              .rss_bytes = trained.rss_bytes,
              .validation_steps = {},
              .validation_losses = trained.validation_losses,
              .validation_scores = trained.validation_scores};
  for (size_t i = 0; i < trained.losses.size(); ++i) curve.steps.push_back(static_cast<double>(i + 1));
  for (size_t i = 0; i < trained.step_tokens.size(); ++i)
    curve.tokens_per_second.push_back(trained.step_tokens[i] / std::max(trained.step_seconds[i], 1e-9));
  for (const int64_t step : trained.validation_steps) curve.validation_steps.push_back(static_cast<double>(step));
  return curve;
}

// Loss and score of the epoch whose adapter was kept.
void AddValidation(const std::string& name, const TrainResult& trained, Results& results) {
  const auto kept = std::ranges::find(trained.validation_steps, trained.best_step);
  if (kept == trained.validation_steps.end()) return;
  const auto i = static_cast<size_t>(kept - trained.validation_steps.begin());
  results.rows.push_back(Measured(name, kTrainingSlice, "validation_loss", trained.validation_losses[i]));
  if (!trained.validation_scores.empty())
    results.rows.push_back(Measured(name, kTrainingSlice, "validation_score", trained.validation_scores[i]));
}

Results TrainingRows(const std::string& name, const TrainResult& trained, const LoraAdapter& adapter,
                     size_t base_bytes) {
  Results results;
  const auto add = [&](const char* metric, double value, int64_t n = 1) {
    results.rows.push_back(Measured(name, kTrainingSlice, metric, value, n));
  };
  add("seconds", trained.seconds + trained.validation_seconds);
  add("tokens_per_second", trained.tokens_per_second, trained.tokens);
  add("trainable_parameters", static_cast<double>(trained.trainable_parameters));
  add("adapter_bytes", static_cast<double>(adapter.bytes()));
  add("steps", static_cast<double>(trained.steps));
  add("planned_steps", static_cast<double>(trained.planned_steps));
  add("best_step", static_cast<double>(trained.best_step));
  add("resumed_from_step", static_cast<double>(trained.resumed_from));
  add("skipped_items", static_cast<double>(trained.skipped));
  add("skipped_dev_items", static_cast<double>(trained.dev_skipped));
  add("unsupervised_items", static_cast<double>(trained.unsupervised + trained.dev_unsupervised));
  if (!trained.losses.empty()) add("final_loss", trained.losses.back());
  AddValidation(name, trained, results);
  add("base_weights_bytes", static_cast<double>(base_bytes));
  add("training_bytes", static_cast<double>(trained.planned_bytes()));
  add("tape_bytes_predicted", static_cast<double>(trained.tape_bytes));
  add("tape_bytes", static_cast<double>(trained.tape_bytes_allocated));
  add("peak_rss_bytes", static_cast<double>(trained.peak_rss_bytes));
  results.curves.push_back(LearningCurve(name, trained));
  return results;
}

// What is to come, before the first step.
void SayPlan(const TrainResult& plan, uint64_t process_bytes, size_t base_bytes, size_t dev_bytes) {
  const auto text = [](size_t bytes) { return FormatBytes(static_cast<double>(bytes)); };
  fmt::print(
      stderr,
      "  {} steps, passes of up to {} tokens; memory {}: process {}, base {}, adapter with gradients and moments {}, "
      "activations {}, logits {}, answers to dev {}\n",
      plan.planned_steps, plan.micro_batch_tokens, text(process_bytes + base_bytes + plan.planned_bytes() + dev_bytes),
      text(process_bytes), text(base_bytes), text(plan.planned_bytes() - plan.tape_bytes - plan.loss_bytes),
      text(plan.tape_bytes), text(plan.loss_bytes), text(dev_bytes));
}

AdapterBase BaseOf(Workspace& workspace, const AdapterConfig& config) {
  AdapterBase base{.name = workspace.config.model, .sha256 = workspace.ModelHash(), .format = config.base};
  if (RecipeOf(config.base).made())
    base.made_sha256 = OpenModel(ResolveModel(workspace.models.SourceOf(config.base))).Hash();
  return base;
}

// What scores of the validation items depend on, beside what their examples hold.
std::string JudgedBy(const Workspace& workspace, const AdapterConfig& config) {
  const fs::path& from = workspace.config.data.dev.empty() ? config.data : workspace.config.data.dev;
  const Json judged{{"items", Sha256File(from)}, {"max_new_tokens", workspace.config.eval.max_new_tokens}};
  return Sha256(DumpJson(judged, -1));
}

Results TrainAdapter(Workspace& workspace, const AdapterConfig& config, const fs::path& folder) {
  const TrainingData data = DataOf(workspace, config);
  workspace.FreeModels();  // the peak is this training's alone
  ReturnFreedMemory();
  ResetPeakRss();
  uint64_t process_bytes = CurrentRssBytes();
  Model& model = workspace.models.Get(config.base);
  process_bytes += model.tokenizer.bytes();
  const size_t base_bytes = HugeSize(model.weights().plan().weight_bytes());
  const ExampleSet train = ExamplesOf(workspace, model, data.train, config.train.completion_only),
                   dev = ExamplesOf(workspace, model, data.dev, true);
  LoraAdapter adapter(model.transformer, config.lora, config.seed);
  const DevSet judged(workspace, model, config.train.keep_best ? data.dev : std::vector<Item>(), Prompting::kZeroShot);
  const TrainHooks hooks{
      .output = folder,
      .base = BaseOf(workspace, config),
      .judged_by = JudgedBy(workspace, config),
      .resume = workspace.scope.resume,
      .score = judged.empty() ? std::function<double()>() : [&] { return MeanOverSlices(judged.Score(model)); },
      .quiet = workspace.quiet,
      .on_step = {},
      .on_plan =
          [&](const TrainResult& plan) {
            if (!workspace.quiet) SayPlan(plan, process_bytes, base_bytes, judged.bytes());
          }};
  const TrainResult trained =
      Train(workspace.context, model.transformer, adapter, train, dev, config.train, config.seed, hooks);
  Results results = TrainingRows(config.name, trained, adapter, base_bytes);
  results.rows.push_back(
      Measured(config.name, kTrainingSlice, "peak_rss_bytes_predicted",
               static_cast<double>(process_bytes + base_bytes + trained.planned_bytes() + judged.bytes())));
  workspace.FreeModels();  // the adapter goes out of scope
  return results;
}

Stage TrainStage(Workspace& workspace, const AdapterConfig& config) {
  const fs::path folder = workspace.TrainingFolder(config.name);
  Stage stage{.name = "train: " + config.name,
              .label = "train adapter " + config.name,
              .inputs = {{"program", ProgramSha256()},
                         {"model", workspace.ModelHash()},
                         {"base", config.base},
                         {"settings", AdapterSettings(config)},
                         {"data", Sha256File(config.data)},
                         {"system_prompt", workspace.config.data.system_prompt},
                         {"max_length", workspace.config.data.max_length},
                         {"max_new_tokens", workspace.config.eval.max_new_tokens},
                         {"seed", config.seed},
                         {"split_seed", workspace.config.seed},
                         {"max_train_samples", workspace.scope.max_train_samples},
                         {"max_eval_samples", workspace.scope.max_eval_samples}},
              .outputs = {folder / "adapter_model.safetensors", folder / "adapter_config.json"},
              .run = {}};
  if (const WeightsRecipe recipe = RecipeOf(config.base); recipe.made())
    stage.inputs["made"] = WeightsInputs(workspace, recipe);
  if (!workspace.config.data.dev.empty()) {
    stage.inputs["dev"] = Sha256File(workspace.config.data.dev);
    if (AnswersFromPassages(workspace.config, config.name)) {
      stage.inputs["documents"] = DocumentsHash(workspace.config, workspace.config.data.documents);
      stage.inputs["rag"] = workspace.SearchInputs();
    }
  }
  stage.run = [&workspace, config, folder] { return TrainAdapter(workspace, config, folder); };
  return stage;
}

}  // namespace

std::vector<Stage> TrainStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const AdapterConfig& adapter : workspace.config.adapters) stages.push_back(TrainStage(workspace, adapter));
  return stages;
}

}  // namespace qad

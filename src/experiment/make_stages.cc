// The stages that make something: quantized weights, adapters, the index.
#include <algorithm>
#include <set>

#include "adapt/trainer.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/process.h"
#include "experiment/stages.h"
#include "quantize/rtn_int8.h"
#include "retrieve/prompt.h"
#include "text/prompt.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

Stage QuantizeStage(Workspace& workspace, const std::string& weights) {
  const fs::path output = workspace.config.output / weights;
  Stage stage{.name = "quantize: " + weights,
              .label = "write " + weights + " weights",
              .inputs = {{"version", QAD_VERSION}, {"model", workspace.model_hash}},
              .outputs = {output / "model.safetensors", output / "config.json"},
              .run = {}};
  stage.run = [&workspace, weights, output] {
    workspace.models.Clear();
    const QuantizeReport report = QuantizeInt8(workspace.model_path, output,
                                               {.per_tensor = weights == "int8-per-tensor",
                                                .embeddings = false,
                                                .quiet = workspace.quiet,
                                                .threads = workspace.context.threads});
    Results results;
    results.rows = {Measured(weights, kQuantizeSlice, "seconds", report.seconds),
                    Measured(weights, kQuantizeSlice, "bytes", static_cast<double>(report.bytes)),
                    Measured(weights, kQuantizeSlice, "peak_rss_bytes", static_cast<double>(report.peak_rss_bytes))};
    for (const RoleError& error : report.errors)
      results.rows.push_back(Measured(weights, kQuantizeSlice, fmt::format("nmse:{}", RoleName(error.role)), error.nmse,
                                      static_cast<int64_t>(error.values)));
    return results;
  };
  return stage;
}

// Items as examples, with the very prompts of evaluation; passages are those that an item brings along.
ExampleSet ExamplesOf(const Workspace& workspace, const Model& model, const std::vector<Item>& items,
                      const fs::path& source, bool completion_only) {
  ExampleSet set;
  for (const Item& item : items) {
    TrainExample example;
    if (item.plain_text) {
      example = MakeExample(model.tokenizer, model.chat, item, "", completion_only);
    } else {
      const std::vector<Message> messages = BuildMessages(item, workspace.config.data.system_prompt);
      example = MakeExample(model.tokenizer, model.chat, PutPassages(messages, item.passages).messages, item.completion,
                            completion_only);
    }
    const bool fits = example.tokens.size() <= std::min<size_t>(static_cast<size_t>(workspace.config.data.max_length),
                                                                model.config().max_positions);
    if (fits)
      set.examples.push_back(std::move(example));
    else
      set.skipped.push_back(item.id);
  }
  if (set.examples.empty())
    FailInput("{}: every item is longer than data.max_length ({} tokens)", source.string(),
              workspace.config.data.max_length);
  return set;
}

Json OptionsJson(const AdapterConfig& a) {
  return {{"r", a.lora.r},
          {"alpha", a.lora.alpha},
          {"dropout", a.lora.dropout},
          {"target_modules", a.lora.target_modules},
          {"rslora", a.lora.rslora},
          {"epochs", a.train.epochs},
          {"batch_size", a.train.batch_size},
          {"micro_batch_tokens", a.train.micro_batch_tokens},
          {"learning_rate", a.train.learning_rate},
          {"schedule", static_cast<int>(a.train.schedule)},
          {"warmup_ratio", a.train.warmup_ratio},
          {"weight_decay", a.train.weight_decay},
          {"max_grad_norm", a.train.max_grad_norm},
          {"completion_only", a.train.completion_only},
          {"dev_fraction", a.train.dev_fraction},
          {"keep_best", a.train.keep_best},
          {"exact", a.train.exact}};
}

Results TrainingRows(const std::string& name, const TrainResult& trained, const LoraAdapter& adapter) {
  Results results;
  const auto add = [&](const char* metric, double value, int64_t n = 1) {
    results.rows.push_back(Measured(name, kTrainingSlice, metric, value, n));
  };
  add("seconds", trained.seconds + trained.validation_seconds);
  add("tokens_per_second", trained.tokens_per_second, trained.tokens);
  add("trainable_parameters", static_cast<double>(trained.trainable_parameters));
  add("adapter_bytes", static_cast<double>(adapter.bytes()));
  add("steps", static_cast<double>(trained.steps));
  add("best_step", static_cast<double>(trained.best_step));
  add("skipped_items", static_cast<double>(trained.skipped));
  if (!trained.losses.empty()) add("final_loss", trained.losses.back());
  if (!trained.validation_losses.empty()) add("validation_loss", *std::ranges::min_element(trained.validation_losses));
  add("peak_rss_bytes", static_cast<double>(trained.peak_rss_bytes));
  add("training_bytes_predicted",
      static_cast<double>(trained.adapter_bytes + trained.gradient_bytes + trained.moment_bytes + trained.tape_bytes));
  add("tape_bytes_predicted", static_cast<double>(trained.tape_bytes));
  add("tape_bytes", static_cast<double>(trained.tape_bytes_allocated));
  results.rows.push_back(
      Measured(name, kUpdateSlice, "seconds_to_update", trained.seconds + trained.validation_seconds));
  Curve curve{.arm = name,
              .steps = {},
              .losses = trained.losses,
              .validation_steps = {},
              .validation_losses = trained.validation_losses};
  for (size_t i = 0; i < trained.losses.size(); ++i) curve.steps.push_back(static_cast<double>(i + 1));
  for (const int64_t step : trained.validation_steps) curve.validation_steps.push_back(static_cast<double>(step));
  results.curves.push_back(std::move(curve));
  return results;
}

Results TrainAdapter(Workspace& workspace, const AdapterConfig& config, const fs::path& folder) {
  workspace.models.Clear();  // the peak is this training's alone
  ResetPeakRss();
  Model& model = workspace.models.Get(config.base);
  const std::vector<Item> items = config.data == workspace.config.data.train
                                      ? workspace.train
                                      : TakeInTurn(LoadDataset(config.data), workspace.scope.max_train_samples);
  ExampleSet train = ExamplesOf(workspace, model, items, config.data, config.train.completion_only);
  const bool own_data = config.data != workspace.config.data.train;  // of another kind: data.dev does not fit it
  ExampleSet dev = workspace.dev.empty() || own_data
                       ? SplitDev(train, config.train.dev_fraction, workspace.config.seed)
                       : ExamplesOf(workspace, model, workspace.dev, workspace.config.data.dev, true);
  LoraAdapter adapter(model.transformer, config.lora, workspace.config.seed);
  const TrainHooks hooks{.output = folder,
                         .base_model = workspace.config.model,
                         .resume = workspace.scope.resume,
                         .quiet = workspace.quiet,
                         .on_step = {}};
  const TrainResult trained =
      Train(workspace.context, model.transformer, adapter, train, dev, config.train, workspace.config.seed, hooks);
  Results results = TrainingRows(config.name, trained, adapter);
  results.rows.push_back(Measured(config.name, kTrainingSlice, "base_weights_bytes",
                                  static_cast<double>(model.weights().allocated_bytes())));
  workspace.models.Clear();  // the adapter goes out of scope
  return results;
}

Stage TrainStage(Workspace& workspace, const AdapterConfig& config) {
  const fs::path folder = workspace.TrainingFolder(config.name);
  Stage stage{.name = "train: " + config.name,
              .label = "train adapter " + config.name,
              .inputs = {{"version", QAD_VERSION},
                         {"model", workspace.model_hash},
                         {"base", config.base},
                         {"options", OptionsJson(config)},
                         {"data", Sha256File(config.data)},
                         {"system_prompt", workspace.config.data.system_prompt},
                         {"max_length", workspace.config.data.max_length},
                         {"seed", workspace.config.seed},
                         {"max_train_samples", workspace.scope.max_train_samples},
                         {"max_eval_samples", workspace.scope.max_eval_samples}},
              .outputs = {folder / "adapter_model.safetensors", folder / "adapter_config.json"},
              .run = {}};
  if (!workspace.config.data.dev.empty()) stage.inputs["dev"] = Sha256File(workspace.config.data.dev);
  stage.run = [&workspace, config, folder] { return TrainAdapter(workspace, config, folder); };
  return stage;
}

}  // namespace

std::vector<Stage> QuantizeStages(Workspace& workspace) {
  std::set<std::string> wanted;
  for (const ArmConfig& arm : workspace.config.arms) {
    // Beside int8 per channel its per-tensor form is measured, to show what the finer scales are worth.
    if (arm.weights == "int8") wanted.insert({"int8", "int8-per-tensor"});
    if (arm.weights == "int8-per-tensor") wanted.insert("int8-per-tensor");
  }
  std::vector<Stage> stages;
  for (const std::string& weights : wanted) stages.push_back(QuantizeStage(workspace, weights));
  return stages;
}

std::vector<Stage> TrainStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const AdapterConfig& adapter : workspace.config.adapters) stages.push_back(TrainStage(workspace, adapter));
  return stages;
}

Stage IndexStage(Workspace& workspace) {
  Json documents = Json::array();
  for (const Chunk& chunk : ChunkDocuments(workspace.CurrentDocuments(), workspace.config.rag.chunk_tokens, CountWords))
    documents.push_back(chunk.id + "\n" + chunk.text);
  Stage stage{.name = "index",
              .label = "index the documents",
              .inputs = {{"version", QAD_VERSION}, {"documents", Sha256(documents.dump())}},
              .outputs = {workspace.config.output / "index.db"},
              .run = {}};
  stage.run = [&workspace] {
    IndexReport report;
    const std::unique_ptr<Index> index = OpenIndex(workspace, true, &report);
    Results results;
    results.rows = {Measured("rag", kUpdateSlice, "seconds_to_update", report.seconds),
                    Measured("rag", kRetrievalSlice, "chunks", static_cast<double>(report.chunks))};
    return results;
  };
  return stage;
}

}  // namespace qad

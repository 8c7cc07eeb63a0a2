// qad train: the adapters of a configuration.
#include <fmt/format.h>

#include <memory>

#include "base/progress.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/run.h"

namespace qad {
namespace {

// What was measured of an adapter's training, and its losses by step.
struct Trained {
  std::string name, folder;
  const Results& results;
  Curve curve;

  std::optional<double> Find(const char* metric) const { return results.Value(name, kTrainingSlice, metric); }
  double Value(const char* metric) const { return Find(metric).value_or(0); }
};

Trained TrainedOf(const Workspace& workspace, const std::string& name, const Results& results) {
  Trained trained{name, workspace.TrainingFolder(name).string(), results, {}};
  for (const Curve& curve : results.curves)
    if (curve.arm == name) trained.curve = curve;
  return trained;
}

Json TrainedJson(const Trained& trained) {
  return {{"name", trained.name},
          {"adapter", trained.folder},
          {"tokens_per_second", trained.Value("tokens_per_second")},
          {"trainable_parameters", trained.Value("trainable_parameters")},
          {"seconds", trained.Value("seconds")},
          {"peak_rss_bytes", trained.Value("peak_rss_bytes")},
          {"resumed_from_step", trained.Value("resumed_from_step")},
          {"skipped_items", trained.Value("skipped_items")},
          {"skipped_dev_items", trained.Value("skipped_dev_items")},
          {"unsupervised_items", trained.Value("unsupervised_items")},
          {"steps", trained.Value("steps")},
          {"best_step", trained.Value("best_step")},
          {"planned_peak_rss_bytes", trained.Value("peak_rss_bytes_predicted")},
          {"validation_steps", trained.curve.validation_steps},
          {"losses", trained.curve.losses},
          {"validation_losses", trained.curve.validation_losses},
          {"validation_scores", trained.curve.validation_scores}};
}

void PrintTrained(const Trained& trained) {
  fmt::print("{}: {:.0f} parameters, {:.0f} tok/s, {}; loss {:.4f}", trained.name,
             trained.Value("trainable_parameters"), trained.Value("tokens_per_second"),
             FormatSeconds(trained.Value("seconds")), trained.Value("final_loss"));
  if (const auto loss = trained.Find("validation_loss")) fmt::print(", validation loss {:.4f}", *loss);
  if (const auto score = trained.Find("validation_score")) fmt::print(", validation score {:.3f}", *score);
  fmt::print("\n{}\n", trained.folder);
  if (const double step = trained.Value("resumed_from_step"); step > 0) fmt::print("went on from step {}\n", step);
  if (const double items = trained.Value("unsupervised_items"); items > 0)
    fmt::print("{} items have no token to learn and were left out\n", items);
  for (const auto& [metric, of] :
       {std::pair("skipped_items", "training"), std::pair("skipped_dev_items", "validation")})
    if (const double items = trained.Value(metric); items > 0)
      fmt::print("{} {} items are longer than data.max_length and were left out\n", items, of);
}

void TrainCommand(const ExperimentOptions& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config, options.scope.seeds), options.scope, flags.threads, flags.json);
  const Results results = TrainAdapters(workspace);
  Json adapters = Json::array();
  for (const AdapterConfig& adapter : workspace.config.adapters) {
    const Trained trained = TrainedOf(workspace, adapter.name, results);
    if (!flags.json) PrintTrained(trained);
    adapters.push_back(TrainedJson(trained));
  }
  if (!flags.json) return;
  Json document = adapters.front();  // one adapter is the common case: its fields stand at the top
  document["adapters"] = adapters;
  PrintJson(document);
}

}  // namespace

std::function<void()> AddTrainCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<ExperimentOptions>();
  AddExperiment(app, *options);
  app.add_flag("--resume", options->scope.resume,
               "refuse a checkpoint of another training, instead of starting afresh");
  return [options, &flags] { TrainCommand(*options, flags); };
}

}  // namespace qad

#include "commands/experiment_options.h"

#include "base/error.h"

namespace qad {
namespace fs = std::filesystem;

void AddConfig(CLI::App& app, fs::path& config) {
  app.add_option("--config", config, "config.yaml of the experiment")->required();
}

void AddExperiment(CLI::App& app, ExperimentOptions& options) {
  AddConfig(app, options.config);
  app.add_option("--max-train-samples", options.scope.max_train_samples,
                 "train on so many items; the run is marked partial")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--max-eval-samples", options.scope.max_eval_samples,
                 "evaluate so many items; the run is marked partial")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--seeds", options.scope.seeds,
                 "train every adapter with so many seeds, to see what the seed moves (default: the configuration's)")
      ->check(CLI::Range(1, 100));
}

void AddAllowLeak(CLI::App& app, ExperimentOptions& options) {
  app.add_flag("--allow-leak", options.scope.allow_leak,
               "quantize also where evaluation items stand word for word in the calibration texts");
}

fs::path ResultsRoot(const Config& config, bool allow_partial) {
  if (fs::exists(config.output / "results.json")) return config.output;
  const fs::path partial = config.output / "partial";
  if (!fs::exists(partial / "results.json"))
    FailInput("{}: no results there; run `qad run --config {}` first", (config.output / "results.json").string(),
              config.file.string());
  if (!allow_partial)
    Fail(ErrorKind::kUsage,
         "{}: only a partial run is there, on which nothing can be decided; run `qad run --config {}`, or give "
         "--allow-partial",
         partial.string(), config.file.string());
  return partial;
}

Json PathsJson(const std::vector<fs::path>& paths) {
  Json json = Json::array();
  for (const fs::path& path : paths) json.push_back(path.string());
  return json;
}

}  // namespace qad

// qad run, train, eval, decide, report: the loop of a configuration and its parts.
#include "experiment/run.h"

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "commands/command.h"
#include "experiment/pack.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Options {
  fs::path config;
  Scope scope;
  bool dry_run = false, allow_partial = false;
};

void AddConfig(CLI::App& app, Options& options) {
  app.add_option("--config", options.config, "config.yaml of the experiment")->required();
}

void AddScope(CLI::App& app, Options& options) {
  app.add_option("--max-train-samples", options.scope.max_train_samples,
                 "train on so many items; the run is marked partial")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--max-eval-samples", options.scope.max_eval_samples,
                 "evaluate so many items; the run is marked partial")
      ->check(CLI::Range(1, 1 << 30));
}

void PrintPlan(const Json& plan) {
  fmt::print("{:<44} {:>12}\n", "stage", "expected");
  for (const Json& stage : plan["stages"])
    fmt::print("{:<44} {:>12}\n", stage["stage"].get<std::string>(),
               stage["done"].get<bool>() ? "done" : FormatSeconds(stage["seconds"].get<double>()));
  fmt::print("\nabout {}, {} of memory and {} of disk under {}\n", FormatSeconds(plan["seconds"].get<double>()),
             FormatBytes(plan["memory_bytes"].get<double>()), FormatBytes(plan["disk_bytes"].get<double>()),
             plan["output"].get<std::string>());
}

Json PathsJson(const std::vector<fs::path>& paths) {
  Json json = Json::array();
  for (const fs::path& path : paths) json.push_back(path.string());
  return json;
}

void RunCommand(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), options.scope, flags.threads, flags.json);
  if (options.dry_run) {
    const Json plan = PlanRun(workspace);
    if (flags.json) return PrintJson(plan);
    return PrintPlan(plan);
  }
  const Decision decision = RunAll(workspace);
  const std::vector<fs::path> pack = RenderPack(workspace.root);
  if (flags.json) {
    const Results results = ReadResults(workspace.root / "results.json");
    return PrintJson(Json{{"results", (workspace.root / "results.json").string()},
                          {"rows", RowsToJson(results.rows)},
                          {"recommended", decision.recommended},
                          {"pack", PathsJson(pack)}});
  }
  fmt::print("\n");
  for (const std::string& line : decision.headline) fmt::print("{}\n", line);
  fmt::print("\n");
  for (const fs::path& path : pack) fmt::print("{}\n", path.string());
}

void TrainCommand(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), options.scope, flags.threads, flags.json);
  const Results results = TrainAdapters(workspace);
  Json adapters = Json::array();
  for (const AdapterConfig& adapter : workspace.config.adapters) {
    const std::string folder = workspace.TrainingFolder(adapter.name).string();
    const auto value = [&](const char* metric) {
      return results.Value(adapter.name, kTrainingSlice, metric).value_or(0);
    };
    Json json = {{"name", adapter.name},
                 {"adapter", folder},
                 {"tokens_per_second", value("tokens_per_second")},
                 {"trainable_parameters", value("trainable_parameters")},
                 {"seconds", value("seconds")},
                 {"peak_rss_bytes", value("peak_rss_bytes")},
                 {"losses", Json::array()},
                 {"validation_losses", Json::array()}};
    for (const Curve& curve : results.curves) {
      if (curve.arm != adapter.name) continue;
      json["losses"] = curve.losses;
      json["validation_losses"] = curve.validation_losses;
    }
    if (!flags.json)
      fmt::print("{}: {:.0f} parameters, {:.0f} tok/s, {}; loss {:.4f}, validation loss {:.4f}\n{}\n", adapter.name,
                 value("trainable_parameters"), value("tokens_per_second"), FormatSeconds(value("seconds")),
                 value("final_loss"), value("validation_loss"), folder);
    adapters.push_back(std::move(json));
  }
  if (!flags.json) return;
  Json document = adapters.front();  // one adapter is the common case: its fields stand at the top
  document["adapters"] = adapters;
  PrintJson(document);
}

void EvalCommand(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), options.scope, flags.threads, flags.json);
  const Results results = EvaluateArms(workspace);
  const fs::path path = workspace.root / "results.json";
  MakeMemory(workspace, &results);
  RenderPack(workspace.root);
  if (flags.json)
    return PrintJson(
        Json{{"results", path.string()}, {"partial", results.partial}, {"rows", RowsToJson(results.rows)}});
  fmt::print("{:<24} {:<26} {:<22} {:>10} {:>20} {:>6}\n", "arm", "slice", "metric", "value", "interval", "n");
  for (const Row& row : results.rows) {
    const std::string interval = row.low && row.high ? fmt::format("[{:.3f}, {:.3f}]", *row.low, *row.high) : "";
    fmt::print("{:<24} {:<26} {:<22} {:>10.4g} {:>20} {:>6}\n", row.arm, row.slice, row.metric, row.value, interval,
               row.n);
  }
  fmt::print("\n{}{}\n", path.string(), results.partial ? " (partial: nothing can be decided on it)" : "");
}

// decide and report read a full run where there is one, else a partial one where that is allowed.
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

void DecideCommand(const Options& options, const GlobalFlags& flags) {
  const Config config = LoadConfig(options.config);
  const fs::path root = ResultsRoot(config, options.allow_partial);
  const Decision decision = MakeDecision(config, root, options.allow_partial);
  RenderPack(root);
  if (flags.json) return PrintJson(DecisionToJson(decision));
  for (const std::string& line : decision.headline) fmt::print("{}\n", line);
  fmt::print("\n{}\n", (root / "decision_memo.md").string());
}

void ReportCommand(const Options& options, const GlobalFlags& flags) {
  const Config config = LoadConfig(options.config);
  const std::vector<fs::path> pack = RenderPack(ResultsRoot(config, true));
  if (flags.json) return PrintJson(Json{{"pack", PathsJson(pack)}});
  for (const fs::path& path : pack) fmt::print("{}\n", path.string());
}

}  // namespace

std::function<void()> AddRunCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, *options);
  AddScope(app, *options);
  app.add_flag("--dry-run", options->dry_run, "print stages, time, memory and disk to expect, and do nothing");
  app.add_flag("--resume", options->scope.resume, "go on with an interrupted training from its checkpoint");
  return [options, &flags] { RunCommand(*options, flags); };
}

std::function<void()> AddTrainCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, *options);
  AddScope(app, *options);
  app.add_flag("--resume", options->scope.resume, "go on from the checkpoint of an interrupted training");
  return [options, &flags] { TrainCommand(*options, flags); };
}

std::function<void()> AddEvalCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, *options);
  AddScope(app, *options);
  app.add_option("--adapter-path", options->scope.adapter_path,
                 "adapter folder in place of the configuration's first one");
  return [options, &flags] { EvalCommand(*options, flags); };
}

std::function<void()> AddDecideCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, *options);
  app.add_flag("--allow-partial", options->allow_partial, "exercise the rules on a partial run");
  return [options, &flags] { DecideCommand(*options, flags); };
}

std::function<void()> AddReportCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, *options);
  return [options, &flags] { ReportCommand(*options, flags); };
}

}  // namespace qad

// qad run: the whole loop of a configuration.
#include "experiment/run.h"

#include <fmt/format.h>

#include <memory>

#include "base/progress.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Options : ExperimentOptions {
  bool dry_run = false;
};

void PrintPlan(const Json& plan) {
  fmt::print("{:<44} {:>12}\n", "stage", "expected");
  for (const Json& stage : plan["stages"])
    fmt::print("{:<44} {:>12}\n", stage["stage"].get<std::string>(),
               stage["done"].get<bool>() ? "done" : FormatSeconds(stage["seconds"].get<double>()));
  fmt::print("\nabout {}, {} of memory and {} of disk under {}\n", FormatSeconds(plan["seconds"].get<double>()),
             FormatBytes(plan["memory_bytes"].get<double>()), FormatBytes(plan["disk_bytes"].get<double>()),
             plan["output"].get<std::string>());
  if (!plan["power"].empty()) fmt::print("\nwhat its items can show\n");
  for (const Json& line : plan["power"]) fmt::print("  {}\n", line.get<std::string>());
}

void RunCommand(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config, options.scope.seeds), options.scope, flags.threads, flags.json);
  if (options.dry_run) {
    const Json plan = PlanRun(workspace);
    if (flags.json) return PrintJson(plan);
    return PrintPlan(plan);
  }
  const Pack pack = RunAll(workspace);
  const std::vector<fs::path> pages = RenderPack(pack, workspace.root);
  if (flags.json) {
    return PrintJson(Json{{"results", (workspace.root / "results.json").string()},
                          {"rows", RowsToJson(pack.results.rows)},
                          {"recommended", pack.decision->recommended},
                          {"pack", PathsJson(pages)}});
  }
  fmt::print("\n");
  for (const std::string& line : pack.decision->headline) fmt::print("{}\n", line);
  fmt::print("\n");
  for (const fs::path& path : pages) fmt::print("{}\n", path.string());
}

}  // namespace

std::function<void()> AddRunCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddExperiment(app, *options);
  AddAllowLeak(app, *options);
  app.add_flag("--dry-run", options->dry_run, "print stages, time, memory and disk to expect, and do nothing");
  app.add_flag("--resume", options->scope.resume,
               "refuse a checkpoint of another training, instead of starting afresh");
  return [options, &flags] { RunCommand(*options, flags); };
}

}  // namespace qad

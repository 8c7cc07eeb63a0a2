// qad eval: the arms of a configuration, measured.
#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"
#include "experiment/run.h"

namespace qad {
namespace {

// What each slice is judged by; the other rows are in the pack.
void PrintScores(const Results& results) {
  fmt::print("{:<24} {:<26} {:<22} {:>8} {:>18} {:>6}\n", "arm", "slice", "metric", "value", "interval", "n");
  for (const std::string& slice : results.Slices()) {
    const std::string metric = PrimaryMetric(results, slice);
    for (const ArmInfo& arm : results.arms) {
      const Row* row = results.Find(arm.name, slice, metric);
      if (row == nullptr) continue;
      const std::string interval = row->low && row->high ? fmt::format("{:.3f} to {:.3f}", *row->low, *row->high) : "";
      fmt::print("{:<24} {:<26} {:<22} {:>8.3f} {:>18} {:>6}\n", arm.name, slice, metric, row->value, interval, row->n);
    }
  }
}

void EvalCommand(const ExperimentOptions& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config, options.scope.seeds), options.scope, flags.threads, flags.json);
  const Results results = EvaluateArms(workspace);
  const std::filesystem::path path = workspace.root / "results.json";
  MakeMemory(workspace, &results);
  const std::vector<std::filesystem::path> pack = RenderPack(workspace.root);
  if (flags.json)
    return PrintJson(
        Json{{"results", path.string()}, {"partial", results.partial}, {"rows", RowsToJson(results.rows)}});
  PrintScores(results);
  fmt::print("\n{}{}\n", path.string(), results.partial ? " (partial: nothing can be decided on it)" : "");
  for (const std::filesystem::path& page : pack) fmt::print("{}\n", page.string());
}

}  // namespace

std::function<void()> AddEvalCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<ExperimentOptions>();
  AddExperiment(app, *options);
  AddAllowLeak(app, *options);
  app.add_option("--adapter-path", options->scope.adapter_path,
                 "adapter folder in place of the configuration's first one");
  return [options, &flags] { EvalCommand(*options, flags); };
}

}  // namespace qad

// qad eval: the arms of a configuration, measured.
#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"
#include "experiment/run.h"

namespace qad {
namespace {

void PrintRows(const std::vector<Row>& rows) {
  fmt::print("{:<24} {:<26} {:<22} {:>10} {:>20} {:>6}\n", "arm", "slice", "metric", "value", "interval", "n");
  for (const Row& row : rows) {
    const std::string interval = row.low && row.high ? fmt::format("[{:.3f}, {:.3f}]", *row.low, *row.high) : "";
    fmt::print("{:<24} {:<26} {:<22} {:>10.4g} {:>20} {:>6}\n", row.arm, row.slice, row.metric, row.value, interval,
               row.n);
  }
}

void EvalCommand(const ExperimentOptions& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), options.scope, flags.threads, flags.json);
  const Results results = EvaluateArms(workspace);
  const std::filesystem::path path = workspace.root / "results.json";
  MakeMemory(workspace, &results);
  RenderPack(workspace.root);
  if (flags.json)
    return PrintJson(
        Json{{"results", path.string()}, {"partial", results.partial}, {"rows", RowsToJson(results.rows)}});
  PrintRows(results.rows);
  fmt::print("\n{}{}\n", path.string(), results.partial ? " (partial: nothing can be decided on it)" : "");
}

}  // namespace

std::function<void()> AddEvalCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<ExperimentOptions>();
  AddExperiment(app, *options);
  app.add_option("--adapter-path", options->scope.adapter_path,
                 "adapter folder in place of the configuration's first one");
  return [options, &flags] { EvalCommand(*options, flags); };
}

}  // namespace qad

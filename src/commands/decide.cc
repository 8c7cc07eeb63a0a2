// qad decide: the rules applied to existing results.
#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"

namespace qad {
namespace {

struct Options {
  std::filesystem::path config;
  bool allow_partial = false;
};

void DecideCommand(const Options& options, const GlobalFlags& flags) {
  const Config config = LoadConfig(options.config);
  const std::filesystem::path root = ResultsRoot(config, options.allow_partial);
  const Decision decision = MakeDecision(config, root, options.allow_partial);
  RenderPack(root);
  if (flags.json) return PrintJson(DecisionToJson(decision));
  for (const std::string& line : decision.headline) fmt::print("{}\n", line);
  fmt::print("\n{}\n", (root / "decision_memo.md").string());
}

}  // namespace

std::function<void()> AddDecideCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, options->config);
  app.add_flag("--allow-partial", options->allow_partial, "exercise the rules on a partial run");
  return [options, &flags] { DecideCommand(*options, flags); };
}

}  // namespace qad

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
  int64_t resamples = kResamples;
};

void DecideCommand(const Options& options, const GlobalFlags& flags) {
  const Config config = LoadConfig(options.config);
  const std::filesystem::path root = ResultsRoot(config, options.allow_partial);
  Pack pack = ReadMeasured(root);
  MakeDecision(config, root, pack, options.allow_partial, options.resamples);
  RenderPack(pack, root);
  if (flags.json) return PrintJson(DecisionToJson(*pack.decision));
  for (const std::string& line : pack.decision->headline) fmt::print("{}\n", line);
  fmt::print("\n{}\n", (root / "decision_memo.md").string());
}

}  // namespace

std::function<void()> AddDecideCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, options->config);
  app.add_flag("--allow-partial", options->allow_partial, "exercise the rules on a partial run");
  app.add_option("--resamples", options->resamples,
                 "how often the items are drawn again to see how firm the choice is; 0: not at all")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}))
      ->capture_default_str();
  return [options, &flags] { DecideCommand(*options, flags); };
}

}  // namespace qad

// qad report: the pages again, from existing results.
#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"

namespace qad {
namespace {

void ReportCommand(const std::filesystem::path& config, const GlobalFlags& flags) {
  const std::vector<std::filesystem::path> pack = RenderPack(ResultsRoot(LoadConfig(config), true));
  if (flags.json) return PrintJson(Json{{"pack", PathsJson(pack)}});
  for (const std::filesystem::path& path : pack) fmt::print("{}\n", path.string());
}

}  // namespace

std::function<void()> AddReportCommand(CLI::App& app, const GlobalFlags& flags) {
  auto config = std::make_shared<std::filesystem::path>();
  AddConfig(app, *config);
  return [config, &flags] { ReportCommand(*config, flags); };
}

}  // namespace qad

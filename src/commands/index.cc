// qad index: the retrieval index of a configuration's documents.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/prompts.h"

namespace qad {
namespace {

void IndexCommand(const std::filesystem::path& config, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(config), {}, flags.threads, true);
  if (workspace.CurrentDocuments().empty())
    Fail(ErrorKind::kUsage, "{}: names no data.documents to index", config.string());
  IndexReport report;
  const std::unique_ptr<Index> index = OpenIndex(workspace, true, &report);
  const std::string path = (workspace.config.output / "index.db").string();
  if (flags.json)
    return PrintJson(Json{{"index", path},
                          {"pages", index->pages()},
                          {"chunks", index->chunks()},
                          {"content_hash", index->content_hash()},
                          {"seconds", report.seconds}});
  fmt::print("{}: {} passages of {} pages, in {}\n", path, index->chunks(), index->pages(),
             FormatSeconds(report.seconds));
}

}  // namespace

std::function<void()> AddIndexCommand(CLI::App& app, const GlobalFlags& flags) {
  auto config = std::make_shared<std::filesystem::path>();
  AddConfig(app, *config);
  return [config, &flags] { IndexCommand(*config, flags); };
}

}  // namespace qad

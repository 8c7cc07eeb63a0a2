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

struct Options {
  std::filesystem::path config;
  bool rebuild = false;
};

void IndexCommand(const Options& options, const GlobalFlags& flags) {
  const std::filesystem::path& config = options.config;
  Workspace workspace(LoadConfig(config), {}, flags.threads, true);
  if (workspace.CurrentDocuments().empty())
    Fail(ErrorKind::kUsage, "{}: names no data.documents to index", config.string());
  IndexReport report;
  const std::unique_ptr<Index> index = OpenIndex(workspace, options.rebuild, &report);
  const std::string path = IndexPath(workspace.config).string();
  const int k = workspace.config.rag.top_k;
  const RetrievalQuality dev = MeasureRetrieval(*index, workspace.dev, k);
  // What leaving function words out of questions is worth.
  const RetrievalQuality every = MeasureRetrieval(*index, workspace.dev, k, QueryWords::kEvery);
  const RefusalRule refusal = CalibrateRefusal(*index, workspace.dev);
  if (flags.json)
    return PrintJson(Json{{"index", path},
                          {"pages", index->pages()},
                          {"chunks", index->chunks()},
                          {"content_hash", index->content_hash()},
                          {"written", report.written},
                          {"seconds", report.seconds},
                          {"dev",
                           {{"items", dev.n},
                            {"recall_at_1", dev.recall_at_1},
                            {"recall_at_k", dev.recall_at_k},
                            {"k", k},
                            {"mrr", dev.mean_reciprocal_rank},
                            {"recall_at_1_every_word", every.recall_at_1},
                            {"recall_at_k_every_word", every.recall_at_k},
                            {"answerable", refusal.answerable},
                            {"unanswerable", refusal.unanswerable},
                            {"refusal_auc", refusal.auc},
                            {"refusal_threshold", refusal.threshold ? Json(*refusal.threshold) : Json()}}}});
  fmt::print("{}: {} passages of {} pages, {} {}\n", path, index->chunks(), index->pages(),
             report.written ? "written in" : "as the documents are; looked at in", FormatSeconds(report.seconds));
  if (dev.n > 0)
    fmt::print("{}, {} questions of dev: recall@1 {:.3f}, recall@{} {:.3f}, MRR {:.3f}\n",
               workspace.config.rag.retriever, dev.n, dev.recall_at_1, k, dev.recall_at_k, dev.mean_reciprocal_rank);
  if (dev.n > 0 && workspace.DocumentRetriever() != Retriever::kDense)
    fmt::print("with the questions' function words (\"how\", \"the\") as well: recall@1 {:.3f}, recall@{} {:.3f}\n",
               every.recall_at_1, k, every.recall_at_k);
  if (refusal.answerable > 0 && refusal.unanswerable > 0)
    fmt::print("the best passage's score tells {} answerable from {} unanswerable ones with an AUC of {:.2f}: {}\n",
               refusal.answerable, refusal.unanswerable, refusal.auc,
               workspace.config.rag.refuse == "never" ? "rag.refuse is never"
               : refusal.threshold ? fmt::format("below {:.3f} the answer is a refusal", *refusal.threshold)
                                   : "no threshold is used");
}

}  // namespace

std::function<void()> AddIndexCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, options->config);
  app.add_flag("--rebuild", options->rebuild, "make it anew, also where nothing has changed");
  return [options, &flags] { IndexCommand(*options, flags); };
}

}  // namespace qad

#include "experiment/leak_guard.h"

#include <fmt/format.h>

#include "evaluate/leaks.h"
#include "retrieve/chunker.h"

namespace qad {

Json LeaksJson(const Workspace& workspace) {
  const DataConfig& data = workspace.config.data;
  std::vector<LeakCorpus> corpora{LeakCorpusOf("train", workspace.train), LeakCorpusOf("dev", workspace.dev)};
  for (const AdapterConfig& adapter : workspace.config.adapters)
    if (adapter.data != data.train)
      corpora.push_back(LeakCorpusOf("train of " + adapter.name, LoadDataset(adapter.data)));
  for (const auto* documents : {&data.documents, &data.documents_update})
    if (!documents->empty())
      corpora.push_back(
          LeakCorpusOf("documents", ChunkDocuments(*documents, workspace.config.rag.chunk_tokens, CountWords)));
  Json leaks = Json::array();
  for (const Leak& leak : FindLeaks(workspace.eval, corpora))
    leaks.push_back({{"item", leak.item},
                     {"corpus", leak.corpus},
                     {"other", leak.other},
                     {"similarity", leak.similarity},
                     {"kind", leak.kind == LeakKind::kExact        ? "exact"
                              : leak.kind == LeakKind::kNormalized ? "normalized"
                                                                   : "near"}});
  if (!leaks.empty() && !workspace.quiet)
    fmt::print(stderr,
               "! {} pairs of an evaluation item and training data or documents are (nearly) the same; results.json "
               "lists them\n",
               leaks.size());
  return leaks;
}

}  // namespace qad

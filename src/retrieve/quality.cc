#include "retrieve/index.h"
#include "retrieve/prompt.h"

namespace qad {

bool IsFromSource(std::string_view chunk_id, std::string_view source) {
  if (!chunk_id.starts_with(source)) return false;
  const bool whole_page = source.find('#') == std::string_view::npos;
  return chunk_id.size() == source.size() || chunk_id[source.size()] == '~' ||
         (whole_page && chunk_id[source.size()] == '#');
}

bool JudgesRetrieval(const Item& item) { return !item.source.empty() && item.retrieve && item.passages.empty(); }

RetrievalQuality MeasureRetrieval(const Index& index, std::span<const Item> items, int k, QueryWords words) {
  RetrievalQuality quality;
  for (const Item& item : items) {
    if (!JudgesRetrieval(item)) continue;
    ++quality.n;
    const std::vector<SearchHit> hits = index.Find(QuestionOf(item), k, words).hits;
    for (size_t rank = 0; rank < hits.size(); ++rank) {
      if (!IsFromSource(hits[rank].chunk.id, item.source)) continue;
      quality.recall_at_1 += rank == 0 ? 1 : 0;
      quality.recall_at_k += 1;
      quality.mean_reciprocal_rank += 1 / static_cast<double>(rank + 1);
      break;
    }
  }
  if (quality.n == 0) return quality;
  for (double* value : {&quality.recall_at_1, &quality.recall_at_k, &quality.mean_reciprocal_rank})
    *value /= static_cast<double>(quality.n);
  return quality;
}

}  // namespace qad

// The passages of a set of documents in one SQLite FTS5 file, ranked by BM25 (docs/retrieval.md).
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieve/chunker.h"
#include "retrieve/sqlite.h"
#include "text/dataset.h"

namespace qad {

inline constexpr int kIndexSchemaVersion = 1;

// SHA-256 over ids, texts and metadata: equal for equal documents cut in the same way.
std::string ContentHash(std::span<const Chunk> chunks);

// Writes the index whole or not at all. One that stands there with the same content is left alone unless `rebuild`,
// which makes it anew in any case; what is no index of this version is replaced. Returns whether it was written.
// Errors: kFailed (disk), and what stood there stays; kInput: no chunks, or one id twice.
bool WriteIndex(const std::filesystem::path& path, std::span<const Chunk> chunks, bool rebuild = false);

struct SearchHit {
  Chunk chunk;
  double score = 0;  // BM25, greater is better; at least one word of the query occurs
};

class Index {
 public:
  // Errors (kInput): missing, not an index, another schema version.
  explicit Index(const std::filesystem::path& path);

  // At most top_k chunks, best first; equal scores in the order of the documents. Any text is a valid query: it is
  // words, never FTS5 syntax. English function words ("how", "the") count only where there are no others, and only the
  // first 256 different words do. Empty where none of them occurs in any chunk.
  std::vector<SearchHit> Search(std::string_view query, int top_k) const;

  std::vector<Chunk> Chunks() const;  // all, in the order of the documents
  const std::string& content_hash() const { return content_hash_; }
  int64_t chunks() const { return chunks_; }
  int64_t pages() const { return pages_; }

 private:
  SqliteDatabase database_;
  std::string content_hash_;
  int64_t chunks_ = 0, pages_ = 0;
};

// The query in FTS5's syntax: the words that count, quoted and joined by OR; empty where the text has no words.
std::string MatchExpression(std::string_view query);

// Hits as passages for a prompt.
std::vector<Passage> ToPassages(const std::vector<SearchHit>& hits);

// Whether retrieval can be judged by an item: it names its source and is looked up, which those that bring their own
// passages are not.
bool JudgesRetrieval(const Item& item);

// How well questions find the section that answers them, over the items that judge it.
struct RetrievalQuality {
  int64_t n = 0;
  double recall_at_1 = 0, recall_at_k = 0;  // share of items whose source is among the first 1, k
  double mean_reciprocal_rank = 0;          // 1/rank of the source, 0 beyond k
};
RetrievalQuality MeasureRetrieval(const Index& index, std::span<const Item> items, int k);

// Whether a chunk of this id is (a part of) the source "page.md#Heading", or of the page where no heading is given.
bool IsFromSource(std::string_view chunk_id, std::string_view source);

}  // namespace qad

// The passages of a set of documents in one SQLite file: their words in FTS5, ranked by BM25, and where an embedder is
// given their vectors, ranked by cosine; or both, by reciprocal rank fusion (docs/retrieval.md).
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieve/chunker.h"
#include "retrieve/sqlite.h"
#include "text/dataset.h"

namespace qad {

inline constexpr int kIndexSchemaVersion = 2;

// SHA-256 over ids, headings, texts and metadata: equal for equal documents cut in the same way.
std::string ContentHash(std::span<const Chunk> chunks);

// What makes vectors of texts. Retrieval knows no model: who wants vectors brings one.
struct Embedder {
  std::string id;  // vectors of another one are no neighbours
  size_t width = 0;
  std::function<void(std::span<const std::string> texts, float* vectors)> embed;  // (texts, width), of length 1
};

// Writes the index whole or not at all, with vectors where there is an embedder. One that stands there with the same
// content is left alone, also where it has vectors and none are asked for; else vectors of chunks that have not changed
// are taken from it. `rebuild`: makes all anew in any case. What is no index of this version is replaced. Returns
// whether it was written. Errors: kFailed (disk), and what stood there stays; kInput: no chunks, or one id twice.
bool WriteIndex(const std::filesystem::path& path, std::span<const Chunk> chunks, const Embedder* embedder = nullptr,
                bool rebuild = false);

struct SearchHit {
  Chunk chunk;
  double score = 0;  // greater is better: BM25; cosine; Σ 1/(60 + rank)
};

struct Found {
  std::vector<SearchHit> hits;
  double support = 0;  // how well the best chunk fits: its BM25, or where there are vectors its cosine; 0: no hits
};

enum class Retriever : uint8_t {
  kBm25,    // Robertson and Zaragoza 2009; at least one word of the query occurs
  kDense,   // nearest vectors, all of them compared
  kHybrid,  // the first 100 of both, Σ 1/(60 + rank) (Cormack et al. 2009)
};

// Which words of a question BM25 looks for: English function words ("how", "the") only where there are no others, or
// every one.
enum class QueryWords : uint8_t { kTelling, kEvery };

// By its name in kRetrieverNames.
Retriever RetrieverOf(std::string_view name);

class Index {
 public:
  // `embedder`, for kDense and kHybrid alone, must live as long. Errors (kInput): missing, not an index, another schema
  // version; without vectors, or with those of another embedder.
  explicit Index(const std::filesystem::path& path, Retriever retriever = Retriever::kBm25,
                 const Embedder* embedder = nullptr);

  // At most top_k chunks, best first; equal scores in the order of the documents. Any text is a valid query: for BM25
  // it is words, never FTS5 syntax, of which the first 256 different ones count; kBm25: empty where none of them occurs
  // in any chunk.
  std::vector<SearchHit> Search(std::string_view query, int top_k) const { return Find(query, top_k).hits; }
  Found Find(std::string_view query, int top_k, QueryWords words = QueryWords::kTelling) const;

  std::vector<Chunk> Chunks() const;  // all, in the order of the documents
  const std::string& content_hash() const { return content_hash_; }
  size_t vector_bytes() const { return vectors_.size() * sizeof(float); }  // in memory
  int64_t chunks() const { return chunks_; }
  int64_t pages() const { return pages_; }

 private:
  struct Ranked {
    int64_t row;
    double score;
  };
  std::vector<Ranked> RankByWords(std::string_view query, int top_k, QueryWords words) const;
  std::vector<Ranked> RankByVectors(std::string_view query, int top_k) const;
  void ReadVectors();

  SqliteDatabase database_;
  Retriever retriever_;
  const Embedder* embedder_;
  std::vector<float> vectors_;  // (chunks, width), in the order of their rows
  std::vector<int64_t> rows_;   // of the vectors
  std::string content_hash_;
  int64_t chunks_ = 0, pages_ = 0;
};

// The query in FTS5's syntax: the words that count, quoted and joined by OR; empty where the text has no words.
std::string MatchExpression(std::string_view query, QueryWords words = QueryWords::kTelling);

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
RetrievalQuality MeasureRetrieval(const Index& index, std::span<const Item> items, int k,
                                  QueryWords words = QueryWords::kTelling);

// Whether a chunk of this id is (a part of) the source "page.md#Heading", or of the page where no heading is given.
bool IsFromSource(std::string_view chunk_id, std::string_view source);

}  // namespace qad

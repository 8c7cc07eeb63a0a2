#include "retrieve/index.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "kernels/elementwise.h"
#include "retrieve/function_words.h"
#include "retrieve/options.h"
#include "text/unicode.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxQueryWords = 256;
constexpr int64_t kApplicationId = 0x71616469;  // "qadi": marks the file as ours

// `heading` and `body` are indexed; words of a heading say what a section is about and weigh twice.
constexpr std::string_view kSchema = R"(
  CREATE VIRTUAL TABLE chunks USING fts5(id UNINDEXED, page UNINDEXED, heading, body, metadata UNINDEXED,
                                         tokenize = "porter unicode61 remove_diacritics 2");
  CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
)";
// `digest` is of what was embedded: an unchanged chunk of the next version keeps its vector.
constexpr std::string_view kVectorSchema =
    "CREATE TABLE vectors(chunk INTEGER PRIMARY KEY, digest TEXT NOT NULL, vector BLOB NOT NULL);";
constexpr const char* kSearch =
    "SELECT rowid, -bm25(chunks, 0, 0, 2.0, 1.0, 0) AS score FROM chunks "
    "WHERE chunks MATCH ? ORDER BY score DESC, rowid LIMIT ?";
constexpr const char* kNoEmbedder = "none";
constexpr int kFusionDepth = 100;     // hits of each ranking that are fused
constexpr double kFusionOffset = 60;  // Cormack et al. 2009
constexpr size_t kTextsAtOnce = 256;

Chunk ReadChunk(const SqliteStatement& row, const std::string& where) {
  Chunk chunk{.id = row.Text(0), .page = row.Text(1), .heading = row.Text(2), .text = row.Text(3), .metadata = {}};
  const std::string place = where + ": " + chunk.id;
  const Json json = ParseJson(row.Text(4), place);
  const JsonObject metadata(json, place);
  for (const auto& [key, value] : json.items()) chunk.metadata[key] = metadata.String(key);
  return chunk;
}

void InsertChunks(SqliteDatabase& database, std::span<const Chunk> chunks) {
  SqliteStatement insert =
      database.Prepare("INSERT INTO chunks(id, page, heading, body, metadata) VALUES (?, ?, ?, ?, ?)");
  for (const Chunk& chunk : chunks) {
    insert.Bind(0, chunk.id);
    insert.Bind(1, chunk.page);
    insert.Bind(2, chunk.heading);
    insert.Bind(3, chunk.text);
    insert.Bind(4, Json(chunk.metadata).dump());
    insert.Step();
    insert.Reset();
  }
}

// What a chunk's vector stands for.
std::string EmbeddedText(const Chunk& chunk) {
  return chunk.heading.empty() ? chunk.text : chunk.heading + "\n" + chunk.text;
}

// Vectors by digest, as they lie in the file; none where there is no such index, or it is of another embedder.
using KeptVectors = std::map<std::string, std::string>;

void InsertVectors(SqliteDatabase& database, std::span<const Chunk> chunks, const Embedder& embedder,
                   const KeptVectors& kept) {
  const size_t bytes = embedder.width * sizeof(float);
  SqliteStatement insert = database.Prepare("INSERT INTO vectors(chunk, digest, vector) VALUES (?, ?, ?)");
  for (size_t begin = 0; begin < chunks.size(); begin += kTextsAtOnce) {
    const std::span<const Chunk> some = chunks.subspan(begin, std::min(kTextsAtOnce, chunks.size() - begin));
    std::vector<std::string> texts, digests;
    for (const Chunk& chunk : some) {
      std::string text = EmbeddedText(chunk);
      digests.push_back(Sha256(text));
      if (!kept.contains(digests.back())) texts.push_back(std::move(text));
    }
    std::vector<float> vectors(texts.size() * embedder.width);
    if (!texts.empty()) embedder.embed(texts, vectors.data());
    const auto* next = reinterpret_cast<const char*>(vectors.data());
    for (size_t i = 0; i < some.size(); ++i) {
      const auto found = kept.find(digests[i]);
      insert.Bind(0, static_cast<int64_t>(begin + i + 1));
      insert.Bind(1, digests[i]);
      insert.BindBlob(2, found != kept.end() ? std::string_view(found->second) : std::string_view(next, bytes));
      if (found == kept.end()) next += bytes;
      insert.Step();
      insert.Reset();
    }
  }
}

void InsertMeta(SqliteDatabase& database, std::span<const Chunk> chunks, const Embedder* embedder) {
  std::set<std::string> pages;
  for (const Chunk& chunk : chunks) pages.insert(chunk.page);
  const std::map<std::string, std::string> meta = {{"content_hash", ContentHash(chunks)},
                                                   {"chunks", std::to_string(chunks.size())},
                                                   {"pages", std::to_string(pages.size())},
                                                   {"embedder", embedder == nullptr ? kNoEmbedder : embedder->id}};
  SqliteStatement insert = database.Prepare("INSERT INTO meta(key, value) VALUES (?, ?)");
  for (const auto& [key, value] : meta) {
    insert.Bind(0, key);
    insert.Bind(1, value);
    insert.Step();
    insert.Reset();
  }
}

std::string MakeIndex(std::span<const Chunk> chunks, const Embedder* embedder, const KeptVectors& kept) {
  SqliteDatabase database = SqliteDatabase::InMemory();
  database.Run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; BEGIN; {}{}", kApplicationId,
                           kIndexSchemaVersion, kSchema, embedder == nullptr ? "" : kVectorSchema));
  InsertChunks(database, chunks);
  if (embedder != nullptr) InsertVectors(database, chunks, *embedder, kept);
  InsertMeta(database, chunks, embedder);
  database.Run("INSERT INTO chunks(chunks) VALUES ('optimize'); COMMIT;");
  return database.Serialize();
}

void CheckIds(std::span<const Chunk> chunks) {
  if (chunks.empty()) FailInput("there is nothing to index: the documents have no text");
  std::set<std::string_view> ids;
  for (const Chunk& chunk : chunks)
    if (!ids.insert(chunk.id).second) FailInput("{}: two passages have this id; rename one of the headings", chunk.id);
}

int64_t ReadPragma(const SqliteDatabase& database, const std::string& name) {
  SqliteStatement statement = database.Prepare("PRAGMA " + name);
  return statement.Step() ? statement.Int(0) : 0;
}

SqliteDatabase OpenIndex(const fs::path& path) {
  if (!fs::is_regular_file(path)) FailInput("{}: there is no index here; make it with `qad index`", path.string());
  SqliteDatabase database = SqliteDatabase::OpenReadOnly(path.string());
  if (ReadPragma(database, "application_id") != kApplicationId)
    FailInput("{}: is not an index of qad; make it with `qad index`", path.string());
  if (const int64_t version = ReadPragma(database, "user_version"); version != kIndexSchemaVersion)
    FailInput("{}: has index version {}, this qad reads {}; make it again with `qad index`", path.string(), version,
              kIndexSchemaVersion);
  return database;
}

std::string ReadMeta(const SqliteDatabase& database, std::string_view key) {
  SqliteStatement statement = database.Prepare("SELECT value FROM meta WHERE key = ?");
  statement.Bind(0, key);
  if (!statement.Step()) FailInput("{}: lacks its {}; make it again with `qad index`", database.where(), key);
  return statement.Text(0);
}

int64_t CountRows(const SqliteDatabase& database, const std::string& what) {
  SqliteStatement statement = database.Prepare("SELECT count(" + what + ") FROM chunks");
  statement.Step();
  return statement.Int(0);
}

// ASCII that is no letter or digit separates words, as in unicode61. Other characters stay with the word; the tokenizer
// cuts there, and the quoted word becomes a phrase. Each different word once.
std::vector<std::string_view> WordsOf(std::string_view text) {
  std::vector<std::string_view> words;
  std::set<std::string_view> seen;
  const auto is_word = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    if (!word.empty() && seen.insert(word).second) words.push_back(word);
    at = end + 1;
  }
  return words;
}

// Whether an index that can be read stands at `path` and holds these chunks, in fact and not only by its own word.
bool Holds(const fs::path& path, std::span<const Chunk> chunks, const Embedder* embedder) {
  if (!fs::exists(path)) return false;
  try {
    const Index index(path, embedder == nullptr ? Retriever::kBm25 : Retriever::kDense, embedder);
    return ContentHash(index.Chunks()) == ContentHash(chunks);
  } catch (const Error&) {
    return false;
  }
}

KeptVectors ReadKept(const fs::path& path, const Embedder& embedder) {
  KeptVectors kept;
  if (!fs::exists(path)) return kept;
  try {
    const SqliteDatabase database = OpenIndex(path);
    if (ReadMeta(database, "embedder") != embedder.id) return kept;
    SqliteStatement statement = database.Prepare("SELECT digest, vector FROM vectors");
    while (statement.Step())
      if (const std::string_view vector = statement.Blob(1); vector.size() == embedder.width * sizeof(float))
        kept.emplace(statement.Text(0), vector);
  } catch (const Error&) {
    kept.clear();  // it is made anew
  }
  return kept;
}

// The `count` best first; equal scores by row.
template <typename Ranked>
void KeepBest(std::vector<Ranked>& ranked, int count) {
  const auto before = [](const Ranked& a, const Ranked& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  };
  const size_t kept = std::min(ranked.size(), static_cast<size_t>(count));
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(kept), ranked.end(), before);
  ranked.resize(kept);
}

}  // namespace

Retriever RetrieverOf(std::string_view name) {
  const auto found = std::ranges::find(kRetrieverNames, name);
  QAD_CHECK(found != kRetrieverNames.end());
  return static_cast<Retriever>(found - kRetrieverNames.begin());
}

std::string ContentHash(std::span<const Chunk> chunks) {
  Json list = Json::array();
  for (const Chunk& chunk : chunks) list.push_back({chunk.id, chunk.heading, chunk.text, chunk.metadata});
  return Sha256(list.dump());
}

bool WriteIndex(const fs::path& path, std::span<const Chunk> chunks, const Embedder* embedder, bool rebuild) {
  CheckIds(chunks);
  if (!rebuild && Holds(path, chunks, embedder)) return false;
  const bool keeps = embedder != nullptr && !rebuild;
  WriteFileAtomic(path, MakeIndex(chunks, embedder, keeps ? ReadKept(path, *embedder) : KeptVectors()));
  return true;
}

Index::Index(const fs::path& path, Retriever retriever, const Embedder* embedder)
    : database_(OpenIndex(path)),
      retriever_(retriever),
      embedder_(embedder),
      content_hash_(ReadMeta(database_, "content_hash")),
      chunks_(CountRows(database_, "*")),
      pages_(CountRows(database_, "DISTINCT page")) {
  if (ReadMeta(database_, "chunks") != std::to_string(chunks_))
    FailInput("{}: holds {} passages where {} were written; make it again with `qad index`", path.string(), chunks_,
              ReadMeta(database_, "chunks"));
  if (retriever_ != Retriever::kBm25) ReadVectors();
}

void Index::ReadVectors() {
  QAD_CHECK(embedder_ != nullptr);
  const std::string& where = database_.where();
  if (const std::string made = ReadMeta(database_, "embedder"); made != embedder_->id)
    FailInput("{}: has {}, and {} is asked for; make it again with `qad index`", where,
              made == kNoEmbedder ? "no vectors" : "the vectors of " + made, embedder_->id);
  const size_t bytes = embedder_->width * sizeof(float);
  vectors_.reserve(static_cast<size_t>(chunks_) * embedder_->width);
  SqliteStatement statement = database_.Prepare("SELECT chunk, vector FROM vectors ORDER BY chunk");
  while (statement.Step()) {
    const std::string_view vector = statement.Blob(1);
    rows_.push_back(statement.Int(0));
    if (vector.size() != bytes)
      FailInput("{}: the vector of passage {} has {} bytes, not {}; make it again with `qad index`", where,
                rows_.back(), vector.size(), bytes);
    vectors_.resize(vectors_.size() + embedder_->width);
    float* own = vectors_.data() + vectors_.size() - embedder_->width;
    std::memcpy(own, vector.data(), bytes);
    if (!std::all_of(own, own + embedder_->width, [](float v) { return std::isfinite(v); }))
      FailInput("{}: the vector of passage {} holds NaN or infinity; make it again with `qad index --rebuild`", where,
                rows_.back());
  }
  if (static_cast<int64_t>(rows_.size()) != chunks_)
    FailInput("{}: holds {} vectors for {} passages; make it again with `qad index`", where, rows_.size(), chunks_);
}

std::vector<Index::Ranked> Index::RankByWords(std::string_view query, int top_k, QueryWords words) const {
  const std::string match = MatchExpression(query, words);
  if (match.empty()) return {};
  SqliteStatement statement = database_.Prepare(kSearch);
  statement.Bind(0, match);
  statement.Bind(1, int64_t{top_k});
  std::vector<Ranked> ranked;
  while (statement.Step()) ranked.push_back({statement.Int(0), statement.Number(1)});
  return ranked;
}

std::vector<Index::Ranked> Index::RankByVectors(std::string_view query, int top_k) const {
  const size_t width = embedder_->width;
  std::vector<float> asked(width);
  const std::string text(query);
  embedder_->embed({&text, 1}, asked.data());
  std::vector<Ranked> ranked(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i)
    ranked[i] = {rows_[i], static_cast<double>(Dot(asked.data(), vectors_.data() + i * width, width))};
  KeepBest(ranked, top_k);
  return ranked;
}

Found Index::Find(std::string_view query, int top_k, QueryWords words) const {
  QAD_CHECK(top_k >= 1);
  const bool hybrid = retriever_ == Retriever::kHybrid;
  const int depth = hybrid ? std::max(kFusionDepth, top_k) : top_k;
  // By what supports an answer.
  std::vector<Ranked> ranked =
      retriever_ == Retriever::kBm25 ? RankByWords(query, depth, words) : RankByVectors(query, depth);
  Found found;
  if (!ranked.empty()) found.support = ranked.front().score;
  if (hybrid) {
    std::map<int64_t, double> fused;
    for (const auto& list : {RankByWords(query, depth, words), std::exchange(ranked, {})})
      for (size_t rank = 0; rank < list.size(); ++rank)
        fused[list[rank].row] += 1 / (kFusionOffset + static_cast<double>(rank + 1));
    for (const auto& [row, score] : fused) ranked.push_back({row, score});
    KeepBest(ranked, top_k);
  }
  SqliteStatement statement = database_.Prepare("SELECT id, page, heading, body, metadata FROM chunks WHERE rowid = ?");
  for (const auto& [row, score] : ranked) {
    statement.Reset();
    statement.Bind(0, row);
    if (!statement.Step())
      FailInput("{}: passage {} is in a list of the index, and missing; make it again with `qad index`",
                database_.where(), row);
    found.hits.push_back({ReadChunk(statement, database_.where()), score});
  }
  return found;
}

std::vector<Chunk> Index::Chunks() const {
  SqliteStatement statement = database_.Prepare("SELECT id, page, heading, body, metadata FROM chunks ORDER BY rowid");
  std::vector<Chunk> chunks;
  while (statement.Step()) chunks.push_back(ReadChunk(statement, database_.where()));
  return chunks;
}

std::string MatchExpression(std::string_view query, QueryWords which) {
  const std::string clean = LowerCase(query);
  std::vector<std::string_view> words = WordsOf(clean);
  if (which == QueryWords::kTelling && !std::all_of(words.begin(), words.end(), IsFunctionWord))
    std::erase_if(words, IsFunctionWord);
  words.resize(std::min(words.size(), kMaxQueryWords));
  std::string match;
  for (const std::string_view word : words) match += fmt::format("{}\"{}\"", match.empty() ? "" : " OR ", word);
  return match;
}

std::vector<Passage> ToPassages(const std::vector<SearchHit>& hits) {
  std::vector<Passage> passages;
  for (const SearchHit& hit : hits) passages.push_back({hit.chunk.id, hit.chunk.text});
  return passages;
}

}  // namespace qad

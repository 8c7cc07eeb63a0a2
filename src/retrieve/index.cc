#include "retrieve/index.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
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
constexpr const char* kSearch =
    "SELECT id, page, heading, body, metadata, -bm25(chunks, 0, 0, 2.0, 1.0, 0) AS score FROM chunks "
    "WHERE chunks MATCH ? ORDER BY score DESC, rowid LIMIT ?";

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

void InsertMeta(SqliteDatabase& database, std::span<const Chunk> chunks) {
  std::set<std::string> pages;
  for (const Chunk& chunk : chunks) pages.insert(chunk.page);
  const std::map<std::string, std::string> meta = {{"content_hash", ContentHash(chunks)},
                                                   {"chunks", std::to_string(chunks.size())},
                                                   {"pages", std::to_string(pages.size())}};
  SqliteStatement insert = database.Prepare("INSERT INTO meta(key, value) VALUES (?, ?)");
  for (const auto& [key, value] : meta) {
    insert.Bind(0, key);
    insert.Bind(1, value);
    insert.Step();
    insert.Reset();
  }
}

std::string MakeIndex(std::span<const Chunk> chunks) {
  SqliteDatabase database = SqliteDatabase::InMemory();
  database.Run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; BEGIN; {}", kApplicationId,
                           kIndexSchemaVersion, kSchema));
  InsertChunks(database, chunks);
  InsertMeta(database, chunks);
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

// Words of a question that say nothing about its subject. BM25 would take them for rare: pages state, they do not ask.
constexpr std::array<std::string_view, 86> kFunctionWords = {
    "a",    "about",  "after", "all",  "also",  "am",    "an",   "and",   "any",  "are",   "as",    "at",    "be",
    "been", "but",    "by",    "can",  "could", "did",   "do",   "does",  "for",  "from",  "had",   "has",   "have",
    "he",   "her",    "his",   "how",  "i",     "if",    "in",   "into",  "is",   "it",    "its",   "just",  "like",
    "may",  "me",     "might", "much", "must",  "my",    "no",   "not",   "of",   "on",    "or",    "our",   "please",
    "she",  "should", "so",    "some", "than",  "that",  "the",  "their", "them", "then",  "there", "these", "they",
    "this", "those",  "to",    "us",   "was",   "we",    "were", "what",  "when", "where", "which", "while", "who",
    "whom", "whose",  "why",   "will", "with",  "would", "you",  "your"};

bool IsFunctionWord(std::string_view word) {
  return std::binary_search(kFunctionWords.begin(), kFunctionWords.end(), word);
}

// ASCII that is no letter or digit separates words, as in unicode61. Other characters stay with the word; the tokenizer
// cuts there, and the quoted word becomes a phrase. Each different word once.
std::vector<std::string_view> QueryWords(std::string_view text) {
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
bool Holds(const fs::path& path, std::span<const Chunk> chunks) {
  if (!fs::exists(path)) return false;
  try {
    return ContentHash(Index(path).Chunks()) == ContentHash(chunks);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string ContentHash(std::span<const Chunk> chunks) {
  Json list = Json::array();
  for (const Chunk& chunk : chunks) list.push_back({chunk.id, chunk.text, chunk.metadata});
  return Sha256(list.dump());
}

bool WriteIndex(const fs::path& path, std::span<const Chunk> chunks, bool rebuild) {
  CheckIds(chunks);
  if (!rebuild && Holds(path, chunks)) return false;
  WriteFileAtomic(path, MakeIndex(chunks));
  return true;
}

Index::Index(const fs::path& path)
    : database_(OpenIndex(path)),
      content_hash_(ReadMeta(database_, "content_hash")),
      chunks_(CountRows(database_, "*")),
      pages_(CountRows(database_, "DISTINCT page")) {
  if (ReadMeta(database_, "chunks") != std::to_string(chunks_))
    FailInput("{}: holds {} passages where {} were written; make it again with `qad index`", path.string(), chunks_,
              ReadMeta(database_, "chunks"));
}

std::vector<SearchHit> Index::Search(std::string_view query, int top_k) const {
  QAD_CHECK(top_k >= 1);
  const std::string match = MatchExpression(query);
  if (match.empty()) return {};
  SqliteStatement statement = database_.Prepare(kSearch);
  statement.Bind(0, match);
  statement.Bind(1, int64_t{top_k});
  std::vector<SearchHit> hits;
  while (statement.Step()) hits.push_back({ReadChunk(statement, database_.where()), statement.Number(5)});
  return hits;
}

std::vector<Chunk> Index::Chunks() const {
  SqliteStatement statement = database_.Prepare("SELECT id, page, heading, body, metadata FROM chunks ORDER BY rowid");
  std::vector<Chunk> chunks;
  while (statement.Step()) chunks.push_back(ReadChunk(statement, database_.where()));
  return chunks;
}

std::string MatchExpression(std::string_view query) {
  const std::string clean = LowerCase(query);
  std::vector<std::string_view> words = QueryWords(clean);
  if (!std::all_of(words.begin(), words.end(), IsFunctionWord)) std::erase_if(words, IsFunctionWord);
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

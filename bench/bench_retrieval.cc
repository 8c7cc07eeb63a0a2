// bench_retrieval [--chunks N] [--queries N] [--embedder NAME]: JSON on stdout: passages indexed per second by words,
// and how long a query takes by words, by vectors and by both, over N passages.
//
// Passages and questions are made from a seed: words of Zipf's frequencies, function words among the most frequent
// ones. Vectors of passages are random directions, as what a vector says is of no matter to how long it takes to
// compare it; those of questions are made by the embedder, where one is named, and its time counts.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "evaluate/speed.h"
#include "evaluate/text_embedder.h"
#include "results/statistics.h"
#include "retrieve/index.h"

namespace qad {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  size_t chunks = 100'000, queries = 200, words = 80;
  std::string embedder;
  int threads = 0;
};

constexpr size_t kVocabulary = 30'000, kQueryWords = 8;
constexpr size_t kWidth = 384;  // of vectors without an embedder: MiniLM's
constexpr std::array<std::string_view, 12> kFrequent = {"the", "of",   "and", "to", "a",  "in",
                                                        "is",  "that", "for", "be", "or", "with"};

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The word of a rank, the frequent ones as in English.
std::string Word(size_t rank) {
  if (rank < kFrequent.size()) return std::string(kFrequent[rank]);
  std::string word;
  for (size_t left = rank * 2654435761u % 1'000'003; word.size() < 3 || left > 0; left /= 26)
    word += static_cast<char>('a' + left % 26);
  return word + static_cast<char>('a' + rank % 26);
}

// Zipf: the probability of a rank is as its inverse.
size_t Rank(Random& random) {
  return static_cast<size_t>(std::exp(random.Uniform() * std::log(static_cast<double>(kVocabulary)))) - 1;
}

std::string Words(Random& random, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += Word(Rank(random));
  }
  return text;
}

std::vector<Chunk> MakeChunks(const Options& options) {
  Random random(1, 0);
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < options.chunks; ++i) {
    Chunk& chunk = chunks.emplace_back();
    chunk.page = fmt::format("page-{}.md", i / 20);
    chunk.heading = Words(random, 3);
    chunk.id = fmt::format("{}#{}", chunk.page, i);
    chunk.text = Words(random, options.words);
  }
  return chunks;
}

Json Timed(const Index& index, const std::vector<std::string>& queries) {
  std::vector<double> seconds;
  size_t hits = 0;
  for (const std::string& query : queries) {
    const auto start = Clock::now();
    hits += index.Search(query, 3).size();
    seconds.push_back(SecondsSince(start));
  }
  return {{"p50_ms", 1e3 * Quantile(seconds, 0.5)},
          {"p95_ms", 1e3 * Quantile(seconds, 0.95)},
          {"hits", static_cast<double>(hits) / static_cast<double>(queries.size())}};
}

void RandomDirections(Random& random, size_t width, std::span<float> vectors) {
  for (size_t at = 0; at < vectors.size(); at += width) {
    const std::span<float> vector = vectors.subspan(at, width);
    double squares = 0;
    for (float& v : vector) {
      v = static_cast<float>(random.Normal());
      squares += static_cast<double>(v) * static_cast<double>(v);
    }
    for (float& v : vector) v /= static_cast<float>(std::sqrt(squares));
  }
}

struct OwnFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("qad-bench-retrieval-{}", ::getpid());
  OwnFolder() { std::filesystem::create_directories(path); }
  ~OwnFolder() { std::filesystem::remove_all(path); }
};

void Run(const Options& options) {
  const std::vector<Chunk> chunks = MakeChunks(options);
  const OwnFolder own;
  const std::filesystem::path& folder = own.path;
  const auto start = Clock::now();
  WriteIndex(folder / "words.db", chunks);
  const double seconds = SecondsSince(start);

  std::unique_ptr<TextEmbedder> encoder;
  if (!options.embedder.empty()) encoder = std::make_unique<TextEmbedder>(options.embedder, options.threads);
  const size_t width = encoder == nullptr ? kWidth : encoder->embedder().width;
  Random random(2, 0);
  bool indexing = true;
  const Embedder embedder{
      .id = "bench", .width = width, .embed = [&](std::span<const std::string> texts, float* vectors) {
        if (!indexing && encoder != nullptr) return encoder->embedder().embed(texts, vectors);
        RandomDirections(random, width, {vectors, texts.size() * width});
      }};
  WriteIndex(folder / "both.db", chunks, &embedder);
  indexing = false;
  std::vector<std::string> queries;
  for (size_t i = 0; i < options.queries; ++i) queries.push_back(Words(random, kQueryWords));
  fmt::print("{}\n", Json{{"chunks", options.chunks},
                          {"words", options.words},
                          {"queries", options.queries},
                          {"index_seconds", seconds},
                          {"chunks_per_second", static_cast<double>(options.chunks) / seconds},
                          {"bm25", Timed(Index(folder / "words.db"), queries)},
                          {"dense", Timed(Index(folder / "both.db", Retriever::kDense, &embedder), queries)},
                          {"hybrid", Timed(Index(folder / "both.db", Retriever::kHybrid, &embedder), queries)}}
                         .dump(2));
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  qad::Options options;
  CLI::App app("how fast passages are indexed and found");
  app.add_option("--chunks", options.chunks);
  app.add_option("--words", options.words, "of a passage");
  app.add_option("--queries", options.queries);
  app.add_option("--embedder", options.embedder, "makes the vectors of queries; random ones where not given");
  app.add_option("--threads", options.threads);
  CLI11_PARSE(app, argc, argv);
  try {
    qad::Run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_retrieval: {}\n", error.what());
    return 1;
  }
}

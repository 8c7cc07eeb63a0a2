#include "retrieve/index.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/test_files.h"
#include "retrieve/prompt.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

const std::vector<Chunk> kChunks = {
    {"returns.md#Return window",
     "returns.md",
     "Return window",
     "Goods may be sent back within 30 days of delivery.",
     {{"date", "1 March 2025"}}},
    {"returns.md#Refunds",
     "returns.md",
     "Refunds",
     "Refunds are paid within 5 working days. See NEAR the AND table.",
     {}},
    {"shop.md#Café",
     "shop.md",
     "Café",
     "The café in the shop opens at nine; bicycles are repaired there. \xF0\x9F\x9A\xB2",
     {}},
    {"shop.md#Repairs~2", "shop.md", "Repairs", "Repairing a brake takes one day.", {}},
    {"shop.md#Hours", "shop.md", "Hours", "Open from Monday to Saturday, 9 to 18.", {}}};

class IndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("qad_index_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = folder_ / "index.sqlite";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string ErrorOf(const fs::path& path) {
    try {
      Index index(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return error.what();
    }
    return "";
  }

  fs::path folder_, path_;
};

TEST_F(IndexTest, BestFirstWithIdsAndMetadata) {
  WriteIndex(path_, kChunks);
  const Index index(path_);
  EXPECT_EQ(index.chunks(), 5);
  EXPECT_EQ(index.pages(), 2);
  EXPECT_EQ(index.content_hash(), ContentHash(kChunks));
  const auto hits = index.Search("How many days do I have to send goods back?", 3);
  ASSERT_GE(hits.size(), 2u);
  EXPECT_EQ(hits[0].chunk.id, "returns.md#Return window");
  EXPECT_EQ(hits[0].chunk.metadata.at("date"), "1 March 2025");
  EXPECT_EQ(hits[0].chunk.text, kChunks[0].text);
  for (size_t i = 1; i < hits.size(); ++i) EXPECT_GE(hits[i - 1].score, hits[i].score);
  EXPECT_EQ(index.Search("days", 1).size(), 1u);
}

TEST_F(IndexTest, AnotherHeadingIsOtherContent) {
  const auto at = [](const char* heading) {
    return std::vector<Chunk>{
        {.id = "a.jsonl#1", .page = "a.jsonl", .heading = heading, .text = "text", .metadata = {}}};
  };
  EXPECT_NE(ContentHash(at("Fees")), ContentHash(at("Returns")));
}

TEST_F(IndexTest, ScoreIsBm25) {
  WriteIndex(path_, kChunks);
  // "brake" stands once in the body of one chunk of five: idf·tf·(k1 + 1)/(tf + k1·(1 − b + b·length/mean length)),
  // k1 = 1.2, b = 0.75, idf = ln((N − n + 0.5)/(n + 0.5)); lengths count the words of heading and body.
  const double lengths[] = {2 + 10, 1 + 12, 1 + 12, 1 + 6, 1 + 8};
  double mean = 0;
  for (const double length : lengths) mean += length / 5;
  const double want = std::log(4.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * lengths[3] / mean));
  const auto hits = Index(path_).Search("brake", 5);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_NEAR(hits[0].score, want, 1e-9);
}

TEST_F(IndexTest, StemsAndFoldsDiacritics) {
  WriteIndex(path_, kChunks);
  const Index index(path_);
  EXPECT_EQ(index.Search("CAFE", 1).at(0).chunk.id, "shop.md#Café");
  EXPECT_EQ(index.Search("refunded", 1).at(0).chunk.id, "returns.md#Refunds");
  EXPECT_EQ(index.Search("repair", 5).size(), 2u);
}

TEST_F(IndexTest, NothingFoundIsEmpty) {
  WriteIndex(path_, kChunks);
  const Index index(path_);
  EXPECT_TRUE(index.Search("quantum chromodynamics", 3).empty());
  EXPECT_TRUE(index.Search("", 3).empty());
  EXPECT_TRUE(index.Search(" ?!\"*()^:-+{}' ", 3).empty());
}

TEST_F(IndexTest, HostileQueriesAreWords) {
  WriteIndex(path_, kChunks);
  const Index index(path_);
  for (const char* query : {"\"",
                            "\"\"\"",
                            "*",
                            "days*",
                            "NEAR(",
                            "NEAR(days goods, 2)",
                            "AND",
                            "NOT days",
                            "OR OR OR",
                            "id:returns",
                            "heading : days",
                            "{heading body}: days",
                            "^days",
                            "a -b",
                            "'; DROP TABLE chunks; --",
                            "days\xFF\xFE",
                            "\xF0\x9F\x9A\xB2",
                            "\xE2\x80\x93",
                            "e\xCC\x81",
                            "%",
                            "\\",
                            "\n\r\t"})
    EXPECT_NO_THROW(index.Search(query, 3)) << query;
  EXPECT_NO_THROW(index.Search(std::string("da\0ys", 5), 3));
  EXPECT_EQ(index.Search("AND NEAR(", 1).at(0).chunk.id, "returns.md#Refunds");
  EXPECT_EQ(index.Search("goods*", 1).at(0).chunk.id, "returns.md#Return window");
  EXPECT_EQ(index.chunks(), 5);
}

TEST_F(IndexTest, TenThousandWords) {
  WriteIndex(path_, kChunks);
  std::string query = "brake";
  for (int i = 0; i < 10000; ++i) query += " w" + std::to_string(i);
  EXPECT_EQ(Index(path_).Search(query, 3).at(0).chunk.id, "shop.md#Repairs~2");
  EXPECT_EQ(Index(path_).Search(std::string(1 << 20, 'x'), 3).size(), 0u);
}

TEST(MatchExpression, EachWordOnceAndQuoted) {
  EXPECT_EQ(MatchExpression("Days days, \"NEAR\" x-y"), "\"days\" OR \"near\" OR \"x\" OR \"y\"");
  EXPECT_EQ(MatchExpression("..."), "");
  EXPECT_EQ(MatchExpression("How long is the warranty?"), "\"long\" OR \"warranty\"");
  EXPECT_EQ(MatchExpression("How long?", QueryWords::kEvery), "\"how\" OR \"long\"");
  EXPECT_EQ(MatchExpression("What is it?"), "\"what\" OR \"is\" OR \"it\"") << "where there is nothing else";
}

TEST_F(IndexTest, TheSameContentIsNotWrittenAgain) {
  EXPECT_TRUE(WriteIndex(path_, kChunks));
  const auto time = fs::last_write_time(path_);
  EXPECT_FALSE(WriteIndex(path_, kChunks));
  EXPECT_EQ(fs::last_write_time(path_), time);

  std::vector<Chunk> update(kChunks.begin(), kChunks.end() - 1);
  update[0].text = "Goods may be sent back within 60 days of delivery.";
  update.push_back({"new.md", "new.md", "", "New.", {}});
  EXPECT_TRUE(WriteIndex(path_, update));
  EXPECT_EQ(Index(path_).content_hash(), ContentHash(update));
  EXPECT_EQ(Index(path_).Search("60", 1).at(0).chunk.id, "returns.md#Return window");
}

uint64_t InodeOf(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

TEST_F(IndexTest, RebuiltItIsANewFileInTheOldPlace) {
  WriteIndex(path_, kChunks);
  const uint64_t inode = InodeOf(path_);
  const Index reader(path_);
  EXPECT_TRUE(WriteIndex(path_, kChunks, nullptr, true));
  EXPECT_NE(InodeOf(path_), inode);
  EXPECT_EQ(Index(path_).content_hash(), ContentHash(kChunks));
  EXPECT_EQ(reader.Search("brake", 1).size(), 1u) << "who had it open reads the old one";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(IndexTest, ARebuildThatFailsLeavesTheOldOne) {
  WriteIndex(path_, kChunks);
  const std::string bytes = ReadTextFile(path_);
  const int code = WithFileSizeLimit(4096, [&] { WriteIndex(path_, kChunks, nullptr, true); });
  EXPECT_EQ(code, static_cast<int>(ErrorKind::kFailed));
  EXPECT_EQ(ReadTextFile(path_), bytes);
  EXPECT_EQ(ErrorOf(path_), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(IndexTest, WrittenTwiceTheFilesAreEqual) {
  WriteIndex(path_, kChunks);
  WriteIndex(folder_ / "again.sqlite", kChunks);
  EXPECT_EQ(ReadTextFile(path_), ReadTextFile(folder_ / "again.sqlite"));
}

TEST_F(IndexTest, OtherFilesAreRefused) {
  EXPECT_NE(ErrorOf(folder_ / "missing").find("there is no index here"), std::string::npos);
  EXPECT_NE(ErrorOf(folder_).find("there is no index here"), std::string::npos);
  std::ofstream(path_) << "just text, long enough to have a header of its own ........................................";
  EXPECT_NE(ErrorOf(path_).find("is not an index"), std::string::npos);
  WriteFileAtomic(path_, "");
  EXPECT_NE(ErrorOf(path_).find("is not an index"), std::string::npos);
}

TEST_F(IndexTest, AnotherVersionIsRefusedByNumber) {
  WriteIndex(path_, kChunks);
  std::string bytes = ReadTextFile(path_);
  bytes[63] = 9;  // the last byte of user_version (SQLite file format, offset 60, big-endian)
  WriteFileAtomic(path_, bytes);
  EXPECT_NE(ErrorOf(path_).find("index version 9"), std::string::npos) << ErrorOf(path_);
  EXPECT_TRUE(WriteIndex(path_, kChunks));  // and is replaced when asked
  EXPECT_EQ(ErrorOf(path_), "");
}

TEST_F(IndexTest, ATruncatedIndexIsAnErrorNotACrash) {
  WriteIndex(path_, kChunks);
  const std::string bytes = ReadTextFile(path_);
  int refused = 0;
  for (size_t size = 0; size < bytes.size(); size += 509) {
    WriteFileAtomic(path_, std::string_view(bytes).substr(0, size));
    try {
      Index(path_).Search("days", 3);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(IndexTest, ADamagedIndexIsAnErrorNotACrash) {
  WriteIndex(path_, kChunks);
  const std::string bytes = ReadTextFile(path_);
  Random random(5);
  int refused = 0;
  for (int run = 0; run < 300; ++run) {
    std::string damaged = bytes;
    for (int i = 0; i < 20; ++i) damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    std::ofstream(path_, std::ios::binary) << damaged;
    try {
      const Index index(path_);
      index.Search("days brake refunds", 3);
      index.Chunks();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(IndexTest, TwoPassagesWithOneIdAreRefused) {
  EXPECT_THROW(WriteIndex(path_, std::vector<Chunk>{kChunks[0], kChunks[0]}), Error);
  EXPECT_THROW(WriteIndex(path_, std::vector<Chunk>{}), Error);
  EXPECT_FALSE(fs::exists(path_));
}

Item MakeItem(const std::string& question, const std::string& source) {
  Item item;
  item.messages = {{"system", "Be brief."}, {"user", question}};
  item.source = source;
  return item;
}

TEST_F(IndexTest, RecallAndReciprocalRank) {
  WriteIndex(path_, kChunks);
  std::vector<Item> items = {MakeItem("goods back", "returns.md#Return window"),   // rank 1
                             MakeItem("brake", "shop.md#Repairs"),                 // rank 1, as a part
                             MakeItem("goods within days", "returns.md#Refunds"),  // rank 2
                             MakeItem("zebra", "shop.md"),                         // not found
                             MakeItem("no source", "")};
  items.push_back(MakeItem("brake", "shop.md#Repairs"));
  items.back().retrieve = false;
  items.push_back(MakeItem("brake", "shop.md#Repairs"));
  items.back().passages = {{"shop.md#Repairs", "Brakes."}};
  const RetrievalQuality quality = MeasureRetrieval(Index(path_), items, 3);
  EXPECT_EQ(quality.n, 4);
  EXPECT_DOUBLE_EQ(quality.recall_at_1, 0.5);
  EXPECT_DOUBLE_EQ(quality.recall_at_k, 0.75);
  EXPECT_DOUBLE_EQ(quality.mean_reciprocal_rank, (1 + 1 + 0.5) / 4);
  EXPECT_EQ(MeasureRetrieval(Index(path_), {}, 3).n, 0);
}

// Counts of letters: texts of the same letters lie near each other.
class Letters {
 public:
  explicit Letters(std::string id = "letters") {
    embedder.id = std::move(id);
    embedder.width = 26;
    embedder.embed = [this](std::span<const std::string> texts, float* vectors) {
      embedded += texts.size();
      std::fill_n(vectors, texts.size() * 26, 0.0f);
      for (const std::string& text : texts) {
        double sum = 0;
        for (const char c : text)
          if (std::isalpha(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 128)
            vectors[std::tolower(static_cast<unsigned char>(c)) - 'a'] += 1;
        for (size_t i = 0; i < 26; ++i) sum += static_cast<double>(vectors[i]) * static_cast<double>(vectors[i]);
        for (size_t i = 0; i < 26 && sum > 0; ++i) vectors[i] /= static_cast<float>(std::sqrt(sum));
        vectors += 26;
      }
    };
  }
  Letters(const Letters&) = delete;
  Letters& operator=(const Letters&) = delete;
  Embedder embedder;
  size_t embedded = 0;  // texts so far
};

TEST_F(IndexTest, VectorsRankByCosine) {
  const Letters letters;
  EXPECT_TRUE(WriteIndex(path_, kChunks, &letters.embedder));
  EXPECT_EQ(letters.embedded, kChunks.size());
  const Index index(path_, Retriever::kDense, &letters.embedder);
  // Letters of a chunk in another order share no word with it.
  std::string letters_alone = "Repairs\nRepairing a brake takes one day.";
  std::ranges::sort(letters_alone);
  EXPECT_TRUE(Index(path_).Search(letters_alone, 3).empty());
  const auto hits = index.Search(letters_alone, 3);
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].chunk.id, "shop.md#Repairs~2");
  EXPECT_NEAR(hits[0].score, 1, 1e-6);
  EXPECT_GT(hits[0].score, hits[1].score);
  EXPECT_EQ(index.Search("anything", 50).size(), kChunks.size());
}

TEST_F(IndexTest, HybridFusesRanks) {
  const Letters letters;
  WriteIndex(path_, kChunks, &letters.embedder);
  const std::string query = "brake repairs in the shop";
  const auto by_words = Index(path_).Search(query, 100);
  const auto by_vectors = Index(path_, Retriever::kDense, &letters.embedder).Search(query, 100);
  const auto fused = Index(path_, Retriever::kHybrid, &letters.embedder).Search(query, 100);
  ASSERT_EQ(fused.size(), kChunks.size());
  for (const SearchHit& hit : fused) {
    double want = 0;
    for (const auto* list : {&by_words, &by_vectors})
      for (size_t rank = 0; rank < list->size(); ++rank)
        if ((*list)[rank].chunk.id == hit.chunk.id) want += 1 / (60.0 + static_cast<double>(rank + 1));
    EXPECT_NEAR(hit.score, want, 1e-12) << hit.chunk.id;
  }
  for (size_t i = 1; i < fused.size(); ++i) EXPECT_GE(fused[i - 1].score, fused[i].score);
}

TEST_F(IndexTest, VectorsOfUnchangedChunksAreKept) {
  Letters letters;
  WriteIndex(path_, kChunks, &letters.embedder);
  EXPECT_FALSE(WriteIndex(path_, kChunks, &letters.embedder)) << "it holds these already";
  std::vector<Chunk> changed = kChunks;
  changed[1].text += " Or more.";
  changed.erase(changed.begin());
  letters.embedded = 0;
  EXPECT_TRUE(WriteIndex(path_, changed, &letters.embedder));
  EXPECT_EQ(letters.embedded, 1u);
  const std::string kept = ReadTextFile(path_);
  EXPECT_TRUE(WriteIndex(path_, changed, &letters.embedder, true));
  EXPECT_EQ(letters.embedded, 1 + changed.size());
  EXPECT_TRUE(ReadTextFile(path_) == kept) << "the same vectors, made anew";
  // Another embedder's are none. An index with vectors serves for words alone as well.
  Letters others("others");
  EXPECT_TRUE(WriteIndex(path_, changed, &others.embedder));
  EXPECT_EQ(others.embedded, changed.size());
  EXPECT_FALSE(WriteIndex(path_, changed));
  EXPECT_EQ(Index(path_).Chunks().size(), changed.size());
  EXPECT_TRUE(WriteIndex(path_, changed, nullptr, true));
  EXPECT_TRUE(WriteIndex(path_, changed, &others.embedder)) << "an index without vectors is none for these";
}

TEST_F(IndexTest, VectorsOfAnotherEmbedderAreAnError) {
  const Letters letters, others("others");
  const auto error = [&](const Embedder& embedder) -> std::string {
    try {
      Index index(path_, Retriever::kHybrid, &embedder);
    } catch (const Error& caught) {
      EXPECT_EQ(caught.kind(), ErrorKind::kInput);
      return caught.what();
    }
    return "none";
  };
  WriteIndex(path_, kChunks);
  EXPECT_NE(error(letters.embedder).find("no vectors"), std::string::npos) << error(letters.embedder);
  WriteIndex(path_, kChunks, &letters.embedder);
  EXPECT_EQ(error(letters.embedder), "none");
  EXPECT_NE(error(others.embedder).find("the vectors of letters"), std::string::npos) << error(others.embedder);
}

TEST(IsFromSource, PartsAndPagesButNotNamesakes) {
  EXPECT_TRUE(IsFromSource(kChunks[3].id, "shop.md#Repairs"));
  EXPECT_TRUE(IsFromSource(kChunks[3].id, "shop.md"));
  EXPECT_FALSE(IsFromSource(kChunks[3].id, "shop.md#Rep"));
  EXPECT_FALSE(IsFromSource(kChunks[3].id, "shop"));
}

TEST(PutPassages, PrecedeTheLastQuestion) {
  const std::vector<Message> messages = {
      {"system", "Be brief."}, {"user", "First?"}, {"assistant", "Yes."}, {"user", "How  long?\n"}};
  const GroundedPrompt prompt = PutPassages(messages, {{"a.md#B", "30\n\n[x.md#Y] days. "}, {"c.md", "More."}});
  EXPECT_TRUE(prompt.grounded);
  EXPECT_EQ(prompt.messages[3].content, "Context:\n[a.md#B] 30 [x.md#Y] days.\n[c.md] More.\n\nHow  long?\n");
  EXPECT_EQ(prompt.messages[1].content, "First?");
}

TEST(PutPassages, AnIdBeginsNoLineOfItsOwn) {
  const GroundedPrompt prompt = PutPassages({{"user", "How long?"}}, {{"a]\n[b.md#C] 40 days.\n", "30 days."}});
  EXPECT_EQ(prompt.messages[0].content.find("\n[b.md#C]"), std::string::npos) << prompt.messages[0].content;
}

TEST(PutPassages, WithoutAQuestionIsAnError) {
  EXPECT_THROW(PutPassages({{"system", "Be brief."}}, {{"a.md", "x"}}), Error);
  EXPECT_NO_THROW(PutPassages({}, {}));
}

TEST(PutPassages, NothingFoundLeavesTheQuestionAndSaysSo) {
  const GroundedPrompt prompt = PutPassages({{"user", "How long?"}}, {});
  EXPECT_FALSE(prompt.grounded);
  EXPECT_EQ(prompt.messages[0].content, "How long?");
}

}  // namespace
}  // namespace qad

#include "retrieve/chunker.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/test_files.h"
#include "retrieve/splitting.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

std::vector<Chunk> Chunks(std::string_view markdown, int limit = 100) {
  return ChunkPage("page.md", markdown, limit, CountWords);
}

std::vector<std::string> Ids(const std::vector<Chunk>& chunks) {
  std::vector<std::string> ids;
  for (const Chunk& chunk : chunks) ids.push_back(chunk.id);
  return ids;
}

using Strings = std::vector<std::string>;

TEST(ChunkPage, OneChunkPerSection) {
  const auto chunks =
      Chunks("Intro.\n\n# Title\n\nAbout.\n\n## Return window\n30 days.\n\n### Empty\n\n## Fees ##\nNone.\n");
  EXPECT_EQ(Ids(chunks), (Strings{"page.md", "page.md#Title", "page.md#Return window", "page.md#Fees"}));
  EXPECT_EQ(chunks[0].heading, "");
  EXPECT_EQ(chunks[2].heading, "Return window");
  EXPECT_EQ(chunks[2].text, "30 days.");
  EXPECT_EQ(chunks[2].page, "page.md");
}

TEST(ChunkPage, HeadingsAreAtxOutsideFences) {
  const auto chunks = Chunks("# A\n~~~\n```\n# not a heading\n~~~\n#hashtag\n    # code\n####### seven\n# C# rules\nx");
  EXPECT_EQ(Ids(chunks), (Strings{"page.md#A", "page.md#C# rules"}));
  EXPECT_NE(chunks[0].text.find("# not a heading"), std::string::npos);
  EXPECT_NE(chunks[0].text.find("#hashtag"), std::string::npos);
}

TEST(ChunkPage, RepeatedHeadingsAreNumbered) {
  EXPECT_EQ(Ids(Chunks("# Fees\na\n# Fees\nb\n")), (Strings{"page.md#Fees", "page.md#Fees (2)"}));
}

TEST(ChunkPage, LongSectionsAreCutAtParagraphsThenSentences) {
  const auto chunks =
      Chunks("# H\none two three.\n\nfour five.\n\nsix seven eight nine ten. eleven twelve. thirteen.\n", 5);
  ASSERT_EQ(Ids(chunks), (Strings{"page.md#H", "page.md#H~2", "page.md#H~3"}));
  EXPECT_EQ(chunks[0].text, "one two three.\n\nfour five.");
  EXPECT_EQ(chunks[1].text, "six seven eight nine ten.");
  EXPECT_EQ(chunks[2].text, "eleven twelve. thirteen.");
}

TEST(ChunkPage, NothingIsLostWhateverTheLimit) {
  const std::string text = "Alpha beta, gamma. Delta 3.5 epsilon!\nzeta eta\n\ntheta iota kappa lambda mu nu";
  std::string words;
  for (const char c : text)
    if (c != ' ' && c != '\n') words.push_back(c);
  for (int limit = 1; limit <= 20; ++limit) {
    std::string got;
    for (const std::string& part : SplitText(text, limit, CountWords)) {
      EXPECT_LE(CountWords(part), limit);
      for (const char c : part)
        if (c != ' ' && c != '\n') got.push_back(c);
    }
    EXPECT_EQ(got, words) << limit;
  }
}

TEST(ChunkPage, OneLongWordStaysWhole) {
  const auto by_bytes = [](std::string_view text) { return static_cast<int64_t>(text.size()); };
  EXPECT_EQ(SplitText(std::string(50, 'x') + " y", 10, by_bytes), (Strings{std::string(50, 'x'), "y"}));
  EXPECT_TRUE(SplitText(" \n ", 10, by_bytes).empty());
}

TEST(ChunkPage, FrontMatterAndDateLinesAreMetadata) {
  const auto chunks = Chunks(
      "---\ndate: 1 March 2025\nOwner: Sales\n---\n# Shipping\n\n*Last updated: 3 May 2026*\n\nBy lorry.\n## "
      "Next\nDate: stays.\n");
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].text, "By lorry.");
  EXPECT_EQ(chunks[1].text, "Date: stays.") << "beyond the second heading a date line is text";
  EXPECT_EQ(chunks[1].metadata.at("date"), "1 March 2025");
  EXPECT_EQ(chunks[0].metadata.at("owner"), "Sales");
  EXPECT_EQ(chunks[0].metadata.at("last updated"), "3 May 2026");
}

TEST(ChunkPage, ARuleIsNotFrontMatter) {
  const auto chunks = Chunks("---\nJust text.\n---\nMore.\n");
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_NE(chunks[0].text.find("Just text."), std::string::npos);
}

TEST(ChunkPage, WindowsLinesAndByteOrderMark) {
  EXPECT_EQ(Ids(Chunks("\xEF\xBB\xBF# A\r\ntext\r\n# B\r\nmore")), (Strings{"page.md#A", "page.md#B"}));
  EXPECT_TRUE(Chunks("").empty());
  EXPECT_TRUE(Chunks("# Only a heading").empty());
}

class ChunkDocumentsTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_ / "sub"); }
  void Put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string ErrorOf(const std::vector<fs::path>& paths) {
    try {
      ChunkDocuments(paths, 100, CountWords);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return error.what();
    }
    return "";
  }
  TempFolder temporary_;
  fs::path folder_ = temporary_.path();
};

TEST_F(ChunkDocumentsTest, FoldersAreReadInOrder) {
  Put("b.md", "# B\nb");
  Put("sub/a.txt", "plain");
  Put("a.md", "# A\na");
  Put("image.png", "\xFF\xFE");
  EXPECT_EQ(Ids(ChunkDocuments({folder_}, 100, CountWords)), (Strings{"a.md#A", "b.md#B", "sub/a.txt"}));
  EXPECT_EQ(Ids(ChunkDocuments({folder_ / "b.md"}, 100, CountWords)), (Strings{"b.md#B"}));
}

TEST_F(ChunkDocumentsTest, ErrorsSayWhatToDo) {
  Put("a.md", "text");
  EXPECT_NE(ErrorOf({folder_ / "none.md"}).find("no such file"), std::string::npos);
  EXPECT_NE(ErrorOf({folder_ / "sub"}).find("no .md, .txt, .html or .jsonl"), std::string::npos);
  EXPECT_NE(ErrorOf({folder_, folder_ / "a.md"}).find("unique"), std::string::npos);
  Put("a.md", "caf\xE9");
  EXPECT_NE(ErrorOf({folder_}).find("UTF-8"), std::string::npos);
  Put("a.md", "\n\n");
  EXPECT_NE(ErrorOf({folder_}).find("nothing to index"), std::string::npos);
}

}  // namespace
}  // namespace qad

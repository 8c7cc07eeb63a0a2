// GPT-2's real vocabulary, where it lies in the cache: ids of a nasty corpus equal to tiktoken's
// (testdata/make_text_goldens.py). SmolLM2's is tested in model/, which may read GGUF.
#include <cstdlib>

#include "base/json.h"
#include "base/test_files.h"
#include "text/tokenizer.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

using Ids = std::vector<TokenId>;

fs::path Cached(const char* name) {
  const char *cache = std::getenv("QAD_CACHE"), *home = std::getenv("HOME");
  const fs::path folder =
      cache != nullptr && *cache != 0 ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/qad";
  return folder / name;
}

class RealVocabulary : public ::testing::Test {
 protected:
  void ExpectIds(const Tokenizer& tokenizer, const char* key) const {
    for (const Json& row : golden_["tokens"]) {
      const auto text = row["text"].get<std::string>();
      EXPECT_EQ(tokenizer.Encode(text), row[key].get<Ids>()) << row["text"];
      EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
    }
  }

  const Json golden_ = ReadJsonFile(TestData("text/golden.json"));
};

TEST_F(RealVocabulary, Gpt2) {
  const fs::path file = Cached("vocab/gpt2.tiktoken");
  if (!fs::exists(file)) GTEST_SKIP() << file << " is absent";
  const Tokenizer tokenizer = Tokenizer::FromTiktoken(file);
  EXPECT_EQ(tokenizer.vocab_size(), 50257);
  EXPECT_EQ(tokenizer.eos(), std::optional<TokenId>(50256));
  ExpectIds(tokenizer, "gpt2");
}

}  // namespace
}  // namespace qad

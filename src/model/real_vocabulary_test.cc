// SmolLM2's real vocabulary and template, where its GGUF lies in the cache: ids of a nasty corpus and whole prompts
// equal to the references' (testdata/make_text_goldens.py).
#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "base/test_files.h"
#include "model/load.h"

namespace qad {
namespace {

using Ids = std::vector<TokenId>;

class RealVocabulary : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto file = CacheFolder() / "models/smollm2-135m-instruct.gguf";
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is absent; scripts/fetch-model fetches it";
    tokenizer_.emplace(LoadTokenizer(OpenModel(file)));
  }

  const Json golden_ = ReadJsonFile(TestData("text/golden.json"));
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(RealVocabulary, SmolLm2GivesTheReferencesIds) {
  EXPECT_EQ(tokenizer_->vocab_size(), 49152);
  EXPECT_EQ(tokenizer_->eos(), std::optional<TokenId>(2));
  EXPECT_FALSE(tokenizer_->add_bos());
  for (const Json& row : golden_["tokens"]) {
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ(tokenizer_->Encode(text), row["smollm2"].get<Ids>()) << row["text"];
    EXPECT_EQ(tokenizer_->EncodeWithSpecial(text), row["smollm2-special"].get<Ids>()) << row["text"];
    const auto known = [&](char c) { return !tokenizer_->Encode(std::string(1, c)).empty(); };
    if (std::ranges::all_of(text, known)) {
      EXPECT_EQ(tokenizer_->Decode(tokenizer_->Encode(text)), text);
    }
  }
}

TEST_F(RealVocabulary, SmolLm2PromptsAreTheReferences) {
  EXPECT_EQ(tokenizer_->chat_template(), golden_["chat_template"].get<std::string>());
  const ChatTemplate chat = ChatTemplate::FromSource(tokenizer_->chat_template(), "SmolLM2");
  for (const Json& row : golden_["chat"]) {
    if (!row.contains("ids")) continue;  // a forged turn: the reference would fall for it
    std::vector<Message> messages;
    for (const Json& message : row["messages"])
      messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
    EXPECT_EQ(chat.Encode(*tokenizer_, messages, row["add_generation_prompt"].get<bool>()), row["ids"].get<Ids>())
        << row["text"];
  }
}

// Takes some 20 ms; n² merging takes minutes.
TEST_F(RealVocabulary, ThirtyThousandLettersTakeNoTime) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(tokenizer_->Encode(std::string(30000, 'a')).empty());
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 1.0);
}

}  // namespace
}  // namespace qad

#include "text/wordpiece.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/test_files.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const fs::path kTokenizer = TestData("models/bert-tiny/tokenizer.json");

TEST(WordPiece, GivesTheReferencesIds) {
  const WordPiece tokenizer = WordPiece::FromTokenizerJson(kTokenizer);
  const Json golden = ReadJsonFile(TestData("models/bert-tiny/golden.json"));
  for (size_t i = 0; i < golden["texts"].size(); ++i)
    EXPECT_EQ(tokenizer.Encode(golden["texts"][i].get<std::string>(), 48), golden["ids"][i].get<std::vector<TokenId>>())
        << golden["texts"][i];
}

TEST(WordPiece, InvalidUtf8IsLeftOut) {
  const WordPiece tokenizer = WordPiece::FromTokenizerJson(kTokenizer);
  EXPECT_EQ(tokenizer.Encode("hel\xFFlo\xC3", 48), tokenizer.Encode("hello", 48));
}

TEST(WordPiece, WhatItDoesNotFollowIsAnError) {
  const TempFolder folder;
  const Json whole = ReadJsonFile(kTokenizer);
  const auto error = [&](const std::function<void(Json&)>& edit) -> std::string {
    Json json = whole;
    edit(json);
    WriteFileAtomic(folder / "tokenizer.json", DumpJson(json));
    try {
      (void)WordPiece::FromTokenizerJson(folder / "tokenizer.json");
    } catch (const Error& caught) {
      EXPECT_EQ(caught.kind(), ErrorKind::kInput);
      return caught.what();
    }
    return "none";
  };
  EXPECT_EQ(error([](Json&) {}), "none");
  const std::vector<std::pair<std::function<void(Json&)>, const char*>> cases = {
      {[](Json& json) { json["model"]["type"] = "BPE"; }, "model is BPE"},
      {[](Json& json) { json["normalizer"] = nullptr; }, "normalizer is none"},
      {[](Json& json) { json["pre_tokenizer"]["type"] = "Whitespace"; }, "pre_tokenizer is Whitespace"},
      {[](Json& json) { json["model"]["continuing_subword_prefix"] = "@"; }, "continuing_subword_prefix"},
      {[](Json& json) { json["model"]["unk_token"] = "[NONE]"; }, "[NONE]"},
      {[](Json& json) { json["model"]["vocab"]["hello"] = json["model"]["vocab"]["world"]; }, "given twice"},
      {[](Json& json) { json["model"]["vocab"]["hello"] = -1; }, "hello"},
      {[](Json& json) { json["post_processor"]["single"].erase(2); }, "[CLS] and [SEP]"},
      {[](Json& json) { json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = {100000}; },
       "beyond the vocabulary"}};
  for (const auto& [edit, said] : cases)
    EXPECT_NE(error(edit).find(said), std::string::npos) << said << ": " << error(edit);
}

}  // namespace
}  // namespace qad

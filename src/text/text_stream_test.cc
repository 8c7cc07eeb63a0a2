#include "text/text_stream.h"

#include <gtest/gtest.h>

#include <string>

#include "base/test_files.h"

namespace qad {
namespace {

TEST(TextStream, PiecesAreWholeCharactersAndTogetherTheText) {
  const Tokenizer tokenizer = Tokenizer::FromTokenizerJson(TestData("text/bytelevel-gpt2/tokenizer.json"));
  // Characters of several tokens, one that is cut at the end, and a real U+FFFD in the middle and at the end.
  const std::string emoji = "\xF0\x9F\x90\xBF";
  for (const std::string& text : {std::string("Grüße, 世界 " + emoji), std::string("a\xEF\xBF\xBD"),
                                  std::string("a\xEF\xBF\xBD b"), emoji.substr(0, 2)}) {
    std::vector<std::string> pieces;
    const std::function<void(std::string_view)> shown = [&](std::string_view piece) { pieces.emplace_back(piece); };
    std::vector<TokenId> tokens = tokenizer.Encode(text);
    for (size_t cut = 0; cut < 2 && !tokens.empty(); ++cut) {
      pieces.clear();
      TextStream fresh(tokenizer, shown);
      std::string all;
      for (const TokenId token : tokens) fresh.Add(token);
      for (const std::string& piece : pieces) EXPECT_FALSE(piece.empty() || piece.ends_with("\xEF\xBF\xBD")) << piece;
      fresh.End();
      for (const std::string& piece : pieces) all += piece;
      EXPECT_EQ(all, tokenizer.Decode(tokens));
      tokens.pop_back();
    }
  }
}

}  // namespace
}  // namespace qad

// The text of tokens as they come, in pieces that are whole characters.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace qad {

class TextStream {
 public:
  // Both must live as long.
  TextStream(const Tokenizer& tokenizer, const std::function<void(std::string_view)>& shown)
      : tokenizer_(tokenizer), shown_(shown) {}

  // Shows what the token adds; bytes that may be the beginning of a character wait for the rest.
  void Add(TokenId token);
  // Shows what still waits: all pieces together are Decode of all tokens.
  void End();

 private:
  void Show(std::string_view text);
  const Tokenizer& tokenizer_;
  const std::function<void(std::string_view)>& shown_;
  std::vector<TokenId> tokens_;
  size_t bytes_ = 0;  // shown
};

}  // namespace qad

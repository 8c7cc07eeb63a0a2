#include "text/text_stream.h"

#include <string>

namespace qad {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // what Decode makes of half a character

}  // namespace

void TextStream::Show(std::string_view text) {
  if (text.size() <= bytes_) return;
  shown_(text.substr(bytes_));
  bytes_ = text.size();
}

void TextStream::Add(TokenId token) {
  tokens_.push_back(token);
  const std::string text = tokenizer_.Decode(tokens_);
  std::string_view whole = text;
  while (whole.ends_with(kReplacement)) whole.remove_suffix(kReplacement.size());
  Show(whole);
}

void TextStream::End() { Show(tokenizer_.Decode(tokens_)); }

}  // namespace qad

// A regular expression that an answer must match: PCRE2's, over UTF-8 with Unicode's properties.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace qad {

// Immutable and safe to share between threads.
class Pattern {
 public:
  // Error (kInput): not a regular expression, with the place in it; `where` begins the message.
  Pattern(const std::string& expression, const std::string& where);

  // Anywhere in the text, which is valid UTF-8. A search without an end in sight, as "(a+)+$" begins on some texts, is
  // given up and has found nothing.
  bool Matches(std::string_view text) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace qad

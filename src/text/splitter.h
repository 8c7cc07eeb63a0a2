// Pre-tokenization: cuts text into the words that BPE merges inside of. PCRE2 with JIT; match limits keep hostile text
// from running away.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace qad {

enum class SplitRule : uint8_t {
  kGpt2,    // Radford et al. 2019: contractions, letters, numbers, other, white space
  kSmolLm,  // every digit alone first, then kGpt2 within what lies between
};

class Splitter {
 public:
  explicit Splitter(SplitRule rule);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  // Calls `word` for every piece in order; the pieces joined are `text`, which must be valid UTF-8.
  // Errors (kFailed): the match limit was reached.
  void Split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  struct Pattern;
  SplitRule rule_;
  std::unique_ptr<Pattern> words_, digits_;
};

}  // namespace qad

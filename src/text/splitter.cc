#include "text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace qad {
namespace {

// White space as Unicode's property White_Space; PCRE2's \s under UCP has U+180E too, which the tokenizers' engines
// have not.
#define QAD_SPACE R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"

constexpr const char* kGpt2Pattern = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^" QAD_SPACE
                                     "\\p{L}\\p{N}]+|[" QAD_SPACE "]+(?![^" QAD_SPACE "])|[" QAD_SPACE "]+";
constexpr const char* kDigitPattern = "\\p{N}";
constexpr uint32_t kMatchLimit = 10'000'000;

}  // namespace

struct Splitter::Pattern {
  pcre2_code* code = nullptr;

  explicit Pattern(const char* text) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error,
                         &offset, nullptr);
    QAD_CHECK(code != nullptr);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it is not available, matching is interpreted
  }
  ~Pattern() { pcre2_code_free(code); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
};

namespace {

// Match data and a context with limits; one per call, because a Splitter is shared between threads.
class Matcher {
 public:
  explicit Matcher(const pcre2_code* code)
      : code_(code),
        data_(pcre2_match_data_create_from_pattern(code, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context_, kMatchLimit);
  }
  ~Matcher() {
    pcre2_match_data_free(data_);
    pcre2_match_context_free(context_);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  // The next match at or after `at`; false where there is none.
  bool Next(std::string_view text, size_t at, size_t& begin, size_t& end) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = pcre2_match(code_, subject, text.size(), at, PCRE2_NO_UTF_CHECK, data_, context_);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)  // the interpreter keeps its stack on the heap
      found = pcre2_match(code_, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data_, context_);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0)
      Fail(ErrorKind::kFailed, "splitting text into words gave up (PCRE2 error {}) at byte {} of {}", found, at,
           text.size());
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_);
    begin = offsets[0];
    end = offsets[1];
    return true;
  }

 private:
  const pcre2_code* code_;
  pcre2_match_data* data_;
  pcre2_match_context* context_;
};

// Calls `piece` for matches and for what lies between them.
void ForEachPiece(Matcher& matcher, std::string_view text, const std::function<void(std::string_view)>& piece) {
  size_t at = 0, begin = 0, end = 0;
  while (at < text.size() && matcher.Next(text, at, begin, end)) {
    if (begin > at) piece(text.substr(at, begin - at));
    QAD_CHECK(end > begin);
    piece(text.substr(begin, end - begin));
    at = end;
  }
  if (at < text.size()) piece(text.substr(at));
}

}  // namespace

Splitter::Splitter(SplitRule rule) : rule_(rule), words_(std::make_unique<Pattern>(kGpt2Pattern)) {
  if (rule == SplitRule::kSmolLm) digits_ = std::make_unique<Pattern>(kDigitPattern);
}

Splitter::~Splitter() = default;

void Splitter::Split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  Matcher words(words_->code);
  if (rule_ == SplitRule::kGpt2) {
    ForEachPiece(words, text, word);
    return;
  }
  Matcher digits(digits_->code);
  ForEachPiece(digits, text, [&](std::string_view piece) { ForEachPiece(words, piece, word); });
}

}  // namespace qad

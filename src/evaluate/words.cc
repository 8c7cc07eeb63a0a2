#include "evaluate/words.h"

#include "text/unicode.h"

namespace qad {

std::vector<std::string> NormalizedWords(std::string_view text) {
  const std::string normal = NormalizeAnswer(text);
  std::vector<std::string> words;
  for (size_t at = 0; at < normal.size();) {
    const size_t end = std::min(normal.find(' ', at), normal.size());
    words.push_back(normal.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string JoinWords(const std::vector<std::string>& words, size_t first, size_t count) {
  std::string out;
  for (size_t i = first; i < first + count; ++i) out += (i == first ? "" : " ") + words[i];
  return out;
}

}  // namespace qad

#include "evaluate/citation.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "evaluate/words.h"
#include "retrieve/function_words.h"

namespace qad {
namespace {

std::set<std::string> TellingWords(std::string_view text) {
  std::set<std::string> words;
  for (std::string& word : NormalizedWords(text))
    if (!IsFunctionWord(word)) words.insert(std::move(word));
  return words;
}

bool HoldsInARow(const std::vector<std::string>& text, const std::vector<std::string>& words) {
  return std::search(text.begin(), text.end(), words.begin(), words.end()) != text.end();
}

}  // namespace

std::optional<size_t> CitedPassage(std::string_view answer, std::span<const Passage> passages) {
  const std::set<std::string> telling = TellingWords(answer);
  if (telling.empty()) return std::nullopt;
  const std::vector<std::string> whole = NormalizedWords(answer);
  std::optional<size_t> best;
  size_t most = 0;
  for (size_t i = 0; i < passages.size(); ++i) {
    const std::vector<std::string> text = NormalizedWords(passages[i].text);
    if (HoldsInARow(text, whole)) return i;
    const std::set<std::string> there(text.begin(), text.end());
    const auto held = static_cast<size_t>(
        std::ranges::count_if(telling, [&](const std::string& word) { return there.contains(word); }));
    if (held <= most) continue;
    most = held;
    best = i;
  }
  return 2 * most >= telling.size() ? best : std::nullopt;
}

}  // namespace qad

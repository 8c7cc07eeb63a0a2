#include "base/suggest.h"

#include <fmt/format.h>

#include <algorithm>

namespace qad {

int EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string Suggestion(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > 64) return "";  // nobody mistypes so much
  const std::string* best = nullptr;
  int least = std::max(1, static_cast<int>(word.size()) / 3) + 1;
  for (const std::string& candidate : known) {
    const int distance = EditDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = &candidate;
    }
  }
  // "learning" for "learning_rate", "max_tokens" for "max_new_tokens": a shared part of four letters or more.
  for (const std::string& candidate : known)
    if (best == nullptr && word.size() >= 4 &&
        (candidate.find(word) != std::string::npos || word.find(candidate) != std::string_view::npos) &&
        candidate.size() >= 4)
      best = &candidate;
  return best == nullptr ? "" : fmt::format("; did you mean '{}'?", *best);
}

}  // namespace qad

// Normalized words: the common ground of metrics, baselines and the leak guard.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad {

// Words of NormalizeAnswer(text).
std::vector<std::string> NormalizedWords(std::string_view text);

// Words first … first + count − 1 joined by single spaces.
std::string JoinWords(const std::vector<std::string>& words, size_t first, size_t count);

}  // namespace qad

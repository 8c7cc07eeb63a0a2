#include "results/slices.h"

#include <algorithm>
#include <cctype>

namespace qad {

bool SliceMatches(const std::string& slice, const std::string& pattern) {
  if (pattern == "all" || slice == pattern) return true;
  return slice.size() > pattern.size() && slice.starts_with(pattern) && slice[pattern.size()] == '/';
}

std::string TopSlice(const std::string& slice) { return slice.substr(0, slice.find('/')); }

bool HasWord(std::string_view slice, std::string_view word) {
  const auto is_letter = [&](size_t at) {
    return at < slice.size() && std::isalpha(static_cast<unsigned char>(slice[at]));
  };
  for (size_t at = slice.find(word); at != std::string_view::npos; at = slice.find(word, at + 1))
    if (!is_letter(at + word.size()) && (at == 0 || !is_letter(at - 1))) return true;
  return false;
}

bool IsUnion(const std::vector<std::string>& slices, const std::string& slice) {
  return std::ranges::any_of(slices, [&](const std::string& other) { return other.starts_with(slice + "/"); });
}

}  // namespace qad

#include "retrieve/splitting.h"

namespace qad {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v";

bool IsSpace(char c) { return kSpace.find(c) != std::string_view::npos; }

enum class Level { kParagraph, kSentence, kWord };

// Whether text may be cut after position `at` (exclusive end of a unit).
bool EndsUnit(std::string_view text, size_t at, Level level) {
  if (at >= text.size() || !IsSpace(text[at])) return at >= text.size();
  if (level == Level::kWord) return true;
  if (level == Level::kSentence)
    return at > 0 && std::string_view(".!?:;\n").find(text[at - 1]) != std::string_view::npos;
  // A blank line: white space up to the next word holds two line ends.
  int lines = 0;
  for (size_t i = at; i < text.size() && IsSpace(text[i]); ++i) lines += text[i] == '\n' ? 1 : 0;
  return lines >= 2;
}

std::vector<std::string_view> Units(std::string_view text, Level level) {
  std::vector<std::string_view> units;
  size_t start = 0;
  for (size_t at = 1; at <= text.size(); ++at) {
    if (IsSpace(text[at - 1]) || !EndsUnit(text, at, level)) continue;
    units.push_back(Trim(text.substr(start, at - start)));
    start = at;
  }
  return units;
}

// From the first unit's begin to the last one's end, as it stands in the text.
std::string_view Span(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

void Split(std::string_view text, Level level, int limit, const TokenCounter& count_tokens,
           std::vector<std::string>& parts) {
  if (level == Level::kWord && text.find_first_of(kSpace) == std::string_view::npos) {
    parts.emplace_back(text);  // one word, however long
    return;
  }
  const std::vector<std::string_view> units = Units(text, level);
  for (size_t i = 0; i < units.size();) {
    if (count_tokens(units[i]) > limit && level != Level::kWord) {
      Split(units[i], level == Level::kParagraph ? Level::kSentence : Level::kWord, limit, count_tokens, parts);
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < units.size() && count_tokens(Span(units[i], units[end])) <= limit) ++end;
    parts.emplace_back(Span(units[i], units[end - 1]));
    i = end;
  }
}

}  // namespace

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string> SplitText(std::string_view text, int limit, const TokenCounter& count_tokens) {
  text = Trim(text);
  if (text.empty()) return {};
  if (count_tokens(text) <= limit) return {std::string(text)};
  std::vector<std::string> parts;
  Split(text, Level::kParagraph, limit, count_tokens, parts);
  return parts;
}

std::string SingleSpaced(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space)
      out.push_back(c);
    else if (!out.empty() && out.back() != ' ')
      out.push_back(' ');
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace qad

#include <algorithm>
#include <array>

#include "retrieve/page.h"
#include "retrieve/splitting.h"
#include "text/unicode.h"

namespace qad {
namespace {

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The text of an ATX heading (CommonMark 4.2), or empty: up to three spaces, one to six #, white space, text, closing
// #s.
std::string_view HeadingText(std::string_view line) {
  const size_t start = line.find_first_not_of(' ');
  if (start > 3) return {};  // npos too
  line.remove_prefix(start);
  const size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level < 1 || level > 6 || level == line.size() || (line[level] != ' ' && line[level] != '\t')) return {};
  line = Trim(line.substr(level));
  const size_t last = line.find_last_not_of('#');
  if (last != std::string_view::npos && last + 1 < line.size() && line[last] == ' ') line = Trim(line.substr(0, last));
  return line;
}

// The character of a code fence ("```" or "~~~"), 0 where the line is none. A fence ends at one of its own kind.
char FenceOf(std::string_view line) {
  const std::string_view text = Trim(line);
  return text.starts_with("```") || text.starts_with("~~~") ? text[0] : '\0';
}

bool AddKeyValue(std::string_view line, std::map<std::string, std::string>& metadata) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string key = LowerCase(Trim(line.substr(0, colon)));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (key.empty() || value.empty()) return false;
  metadata[key] = value;
  return true;
}

// "Last updated: 3 May 2026", also emphasised or quoted (*…*, _…_, > …).
bool AddDateLine(std::string_view line, std::map<std::string, std::string>& metadata) {
  static constexpr std::array<std::string_view, 8> kKeys = {
      "date", "last updated", "updated", "last reviewed", "valid from", "effective from", "effective", "version"};
  constexpr std::string_view kMarks = " \t*_>";
  const size_t first = line.find_first_not_of(kMarks);
  if (first == std::string_view::npos) return false;
  line = line.substr(first, line.find_last_not_of(kMarks) - first + 1);
  const std::string key = LowerCase(Trim(line.substr(0, line.find(':'))));
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end() && AddKeyValue(line, metadata);
}

// Lines of front matter, its fences included; 0 where there is none.
size_t ReadFrontMatter(const std::vector<std::string_view>& lines, std::map<std::string, std::string>& metadata) {
  if (lines.empty() || Trim(lines[0]) != "---") return 0;
  std::map<std::string, std::string> found;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (Trim(lines[i]) == "---") {
      metadata = std::move(found);
      return i + 1;
    }
    if (!Trim(lines[i]).empty() && !AddKeyValue(lines[i], found)) return 0;  // a rule, not front matter
  }
  return 0;
}

}  // namespace

Page ReadMarkdown(std::string_view markdown) {
  if (markdown.starts_with("\xEF\xBB\xBF")) markdown.remove_prefix(3);
  Page page;
  page.sections.emplace_back();
  const std::vector<std::string_view> lines = Lines(markdown);
  char fence = 0;
  for (size_t i = ReadFrontMatter(lines, page.metadata); i < lines.size(); ++i) {
    const bool fenced = fence != 0;
    if (const char mark = FenceOf(lines[i]); mark != 0 && (!fenced || mark == fence)) fence = fenced ? char{0} : mark;
    if (const std::string_view heading = fenced ? std::string_view() : HeadingText(lines[i]); !heading.empty()) {
      page.sections.push_back({std::string(heading), std::string(heading), ""});
    } else if (fenced || page.sections.size() > 2 || !AddDateLine(lines[i], page.metadata)) {
      page.sections.back().text.append(lines[i]).push_back('\n');
    }
  }
  return page;
}

}  // namespace qad

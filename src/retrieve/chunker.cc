#include "retrieve/chunker.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/files.h"
#include "retrieve/splitting.h"
#include "text/unicode.h"

namespace qad {
namespace fs = std::filesystem;

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

struct Section {
  std::string heading, text;
};

struct Page {
  std::vector<Section> sections;  // the first is the preamble
  std::map<std::string, std::string> metadata;
};

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

Page ParsePage(std::string_view markdown) {
  if (markdown.starts_with("\xEF\xBB\xBF")) markdown.remove_prefix(3);
  Page page;
  page.sections.emplace_back();
  const std::vector<std::string_view> lines = Lines(markdown);
  char fence = 0;
  for (size_t i = ReadFrontMatter(lines, page.metadata); i < lines.size(); ++i) {
    const bool fenced = fence != 0;
    if (const char mark = FenceOf(lines[i]); mark != 0 && (!fenced || mark == fence)) fence = fenced ? char{0} : mark;
    if (const std::string_view heading = fenced ? std::string_view() : HeadingText(lines[i]); !heading.empty()) {
      page.sections.push_back({std::string(heading), ""});
    } else if (fenced || page.sections.size() > 2 || !AddDateLine(lines[i], page.metadata)) {
      page.sections.back().text.append(lines[i]).push_back('\n');
    }
  }
  return page;
}

void CollectFiles(const fs::path& path, std::vector<std::pair<std::string, fs::path>>& files) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) FailInput("{}: there is no such file or folder to index", path.string());
    files.emplace_back(path.filename().string(), path);
    return;
  }
  const size_t before = files.size();
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string extension = LowerCase(at->path().extension().string());
    if (at->is_regular_file(error) && (extension == ".md" || extension == ".txt"))
      files.emplace_back(at->path().lexically_relative(path).generic_string(), at->path());
  }
  if (error) FailInput("{}: cannot be read: {}", path.string(), error.message());
  if (files.size() == before) FailInput("{}: holds no .md or .txt files", path.string());
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
}

}  // namespace

int64_t CountWords(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space && !inside) ++words;
    inside = !space;
  }
  return words;
}

std::vector<Chunk> ChunkPage(const std::string& page, std::string_view markdown, int chunk_tokens,
                             const TokenCounter& count_tokens) {
  QAD_CHECK(chunk_tokens >= 1);
  const Page parsed = ParsePage(markdown);
  std::vector<Chunk> chunks;
  std::map<std::string, int> seen;
  for (const Section& section : parsed.sections) {
    std::string id = section.heading.empty() ? page : page + "#" + section.heading;
    if (const int times = ++seen[id]; times > 1) id += fmt::format(" ({})", times);
    const std::vector<std::string> parts = SplitText(section.text, chunk_tokens, count_tokens);
    for (size_t i = 0; i < parts.size(); ++i)
      chunks.push_back({.id = i == 0 ? id : fmt::format("{}~{}", id, i + 1),
                        .page = page,
                        .heading = section.heading,
                        .text = parts[i],
                        .metadata = parsed.metadata});
  }
  return chunks;
}

std::vector<Chunk> ChunkDocuments(const std::vector<fs::path>& paths, int chunk_tokens,
                                  const TokenCounter& count_tokens) {
  std::vector<std::pair<std::string, fs::path>> files;
  for (const fs::path& path : paths) CollectFiles(path, files);
  std::vector<Chunk> chunks;
  std::map<std::string, fs::path> pages;
  for (const auto& [page, file] : files) {
    if (const auto [other, added] = pages.emplace(page, file); !added)
      FailInput("{}: page \"{}\" is also {}; citations must be unique, so index one of them or rename it",
                file.string(), page, other->second.string());
    const std::string text = ReadTextFile(file, uint64_t{64} << 20);
    if (!IsValidUtf8(text) || text.find('\0') != std::string::npos)
      FailInput("{}: is not UTF-8 text; convert it (iconv) or leave it out", file.string());
    for (Chunk& chunk : ChunkPage(page, text, chunk_tokens, count_tokens)) chunks.push_back(std::move(chunk));
  }
  if (chunks.empty()) FailInput("the documents hold no text: nothing to index");
  return chunks;
}

}  // namespace qad

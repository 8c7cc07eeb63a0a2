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

constexpr std::array<std::string_view, 6> kExtensions = {".md", ".markdown", ".txt", ".html", ".htm", ".jsonl"};
constexpr uint64_t kMostBytes = uint64_t{1} << 30;  // of a document

// UTF-16 with a byte order mark, as Windows writes it, to UTF-8; lone surrogates become U+FFFD.
std::string FromUtf16(std::string_view bytes, bool little) {
  std::string text;
  const auto unit = [&](size_t at) {
    const auto first = static_cast<unsigned char>(bytes[at]), second = static_cast<unsigned char>(bytes[at + 1]);
    return static_cast<uint32_t>(little ? first | second << 8 : first << 8 | second);
  };
  for (size_t at = 2; at + 1 < bytes.size(); at += 2) {
    uint32_t point = unit(at);
    const bool high = point >= 0xD800 && point < 0xDC00;
    const uint32_t low = high && at + 3 < bytes.size() ? unit(at + 2) : 0;
    if (low >= 0xDC00 && low < 0xE000) {
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
      at += 2;
    } else if (point >= 0xD800 && point < 0xE000) {
      point = 0xFFFD;
    }
    AppendUtf8(point, text);
  }
  return text;
}

Page ReadPage(const fs::path& file) {
  std::string text = ReadTextFile(file, kMostBytes);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) text = FromUtf16(text, text[0] == '\xFF');
  const std::string extension = LowerCase(file.extension().string());
  const bool html = extension == ".html" || extension == ".htm";
  if (text.find('\0') != std::string::npos) FailInput("{}: holds NUL bytes: it is no text", file.string());
  if (html) return ReadHtml(text, file.string());  // which may declare another encoding
  if (!IsValidUtf8(text))
    FailInput("{}: is neither UTF-8 nor UTF-16 with its mark; convert it, e.g. `iconv -f WINDOWS-1252 -t UTF-8`",
              file.string());
  return extension == ".jsonl" ? ReadJsonLines(text, file.string()) : ReadMarkdown(text);
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
    if (at->is_regular_file(error) && std::ranges::find(kExtensions, extension) != kExtensions.end())
      files.emplace_back(at->path().lexically_relative(path).generic_string(), at->path());
  }
  if (error) FailInput("{}: cannot be read: {}", path.string(), error.message());
  if (files.size() == before) FailInput("{}: holds no .md, .txt, .html or .jsonl files", path.string());
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
  return CutPage(page, ReadMarkdown(markdown), chunk_tokens, count_tokens);
}

std::vector<Chunk> CutPage(const std::string& page, const Page& parsed, int chunk_tokens,
                           const TokenCounter& count_tokens) {
  QAD_CHECK(chunk_tokens >= 1);
  std::vector<Chunk> chunks;
  std::map<std::string, int> seen;
  for (const Section& section : parsed.sections) {
    std::string id = section.name.empty() ? page : page + "#" + section.name;
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
    for (Chunk& chunk : CutPage(page, ReadPage(file), chunk_tokens, count_tokens)) chunks.push_back(std::move(chunk));
  }
  if (chunks.empty()) FailInput("the documents hold no text: nothing to index");
  return chunks;
}

}  // namespace qad

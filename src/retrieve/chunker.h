// Documents cut into passages that can be cited: one chunk per section of a page.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "retrieve/page.h"

namespace qad {

// Page "returns.md":
//   "returns.md"                  what stands before the first heading
//   "returns.md#Return window"    the section under that heading, without its subsections
//   "returns.md#Return window~2"  second part of a section longer than chunk_tokens
//   "returns.md#Fees (2)"         the second section of that name on the page
struct Chunk {
  std::string id;
  std::string page;                             // path relative to its document folder, with '/'
  std::string heading;                          // empty for the preamble
  std::string text;                             // the body, trimmed, without the heading
  std::map<std::string, std::string> metadata;  // the page's: front matter, and date lines ("Valid from: …")
};

// How long a text is, in the model's tokens (or words, where there is no model).
using TokenCounter = std::function<int64_t(std::string_view)>;
int64_t CountWords(std::string_view text);

// ATX headings ("# …" to "###### …") outside code fences; sections without text make no chunk. Long sections are cut
// at paragraph ends, then sentence ends, then words; only a single word may exceed chunk_tokens (≥ 1).
// Front matter ("---", then "key: value" lines, then "---") and lines such as "Last updated: 3 May 2026" before the
// second heading become metadata and leave the text.
std::vector<Chunk> ChunkPage(const std::string& page, std::string_view markdown, int chunk_tokens,
                             const TokenCounter& count_tokens);

// The same of any page; a section's name stands for its heading in the id.
std::vector<Chunk> CutPage(const std::string& page, const Page& parsed, int chunk_tokens,
                           const TokenCounter& count_tokens);

// Every .md, .markdown, .txt, .html, .htm and .jsonl below each folder (sorted by path), and each file given by itself.
// Errors (kInput): a path that does not exist, a file that is no text in a known encoding or is larger than 1 GiB, the
// same page twice, nothing to index.
std::vector<Chunk> ChunkDocuments(const std::vector<std::filesystem::path>& paths, int chunk_tokens,
                                  const TokenCounter& count_tokens);

}  // namespace qad

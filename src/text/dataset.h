// Datasets: one JSON object a line. Forms: {"text"}, {"prompt","completion"} (with an optional "system"),
// {"messages":[{"role","content"}…]}, Alpaca {"instruction","input","output"}; all become one Item.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "text/chat.h"

namespace qad {

struct Passage {
  std::string id;  // "returns#Return window"
  std::string text;
};

struct Item {
  std::string id;                 // given, or "line-N"
  std::string slice = "all";      // "facts/stable": a slice name matches every slice it is a path prefix of
  std::vector<Message> messages;  // the prompt: system and user turns (earlier assistant turns allowed)
  std::string completion;         // the reference answer; for {"text"} the text itself, with no messages
  bool plain_text = false;        // {"text"}: trained and scored without a template
  bool no_system = false;         // "system": null: none, whatever the configuration puts in front of the others
  // How it is scored; all optional.
  std::vector<std::string> accept;                         // an answer must contain one of these …
  std::vector<std::string> reject;                         // … and none of these
  std::string pattern;                                     // a regular expression that an answer must match
  std::vector<std::string> choices;                        // of which the completion is one: the likeliest is taken
  bool answerable = true;                                  // false: the right answer is a refusal
  std::map<std::string, std::vector<std::string>> schema;  // JSON answer: field → allowed values
  std::string fact;                                        // items of one fact are clustered
  std::string source;                                      // "page.md#Heading" that holds the answer
  std::string overlap;                                     // stratum of lexical overlap with the source
  std::vector<Passage> passages;                           // given passages: used instead of retrieved ones
  bool retrieve = true;                                    // whether RAG arms look up passages for it
  int line = 0;

  // What it is resampled with: the items of its fact.
  const std::string& Cluster() const { return fact.empty() ? id : fact; }
  // Whether RAG arms look passages up for it: a question in words, which does not bring its own. Where nothing supports
  // an answer it may be refused.
  bool IsLookedUp() const { return !plain_text && schema.empty() && retrieve && passages.empty(); }
};

// Errors (kInput) name file and line: a line that is no JSON object or was cut in half, invalid UTF-8, NUL, an unknown
// form (with the forms known), unknown keys, wrong types, an empty completion, duplicate ids, an empty file.
std::vector<Item> LoadDataset(const std::filesystem::path& path);

// Whether a file is a dataset by its name, .jsonl, or else plain text. Errors (kInput): .json, which is neither.
bool IsDataset(const std::filesystem::path& path);

}  // namespace qad

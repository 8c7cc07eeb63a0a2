#include "retrieve/function_words.h"

#include <algorithm>
#include <array>

namespace qad {
namespace {

// Words of a question that say nothing about its subject. BM25 would take them for rare: pages state, they do not ask.
constexpr std::array<std::string_view, 86> kFunctionWords = {
    "a",    "about",  "after", "all",  "also",  "am",    "an",   "and",   "any",  "are",   "as",    "at",    "be",
    "been", "but",    "by",    "can",  "could", "did",   "do",   "does",  "for",  "from",  "had",   "has",   "have",
    "he",   "her",    "his",   "how",  "i",     "if",    "in",   "into",  "is",   "it",    "its",   "just",  "like",
    "may",  "me",     "might", "much", "must",  "my",    "no",   "not",   "of",   "on",    "or",    "our",   "please",
    "she",  "should", "so",    "some", "than",  "that",  "the",  "their", "them", "then",  "there", "these", "they",
    "this", "those",  "to",    "us",   "was",   "we",    "were", "what",  "when", "where", "which", "while", "who",
    "whom", "whose",  "why",   "will", "with",  "would", "you",  "your"};

}  // namespace

bool IsFunctionWord(std::string_view word) {
  return std::binary_search(kFunctionWords.begin(), kFunctionWords.end(), word);
}

}  // namespace qad

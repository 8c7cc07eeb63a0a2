// The leak guard: evaluation questions that stand, word for word or nearly so, where a model or a prompt could have
// seen them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "retrieve/chunker.h"
#include "text/dataset.h"

namespace qad {

struct LeakText {
  std::string id, text;
  std::string fact;  // facts shared by train and evaluation are meant: only their wording may not be
};

struct LeakCorpus {
  std::string name;  // "train", "dev", "few-shot", "calibration", "documents"
  std::vector<LeakText> texts;
  bool documents = false;  // longer than a question: looked for inside, not compared as wholes
};
LeakCorpus LeakCorpusOf(const std::string& name, std::span<const Item> items);  // what the items ask
LeakCorpus LeakCorpusOf(const std::string& name, std::span<const Chunk> chunks);
// What stands in the items beside their questions: answers and passages, each looked into as a document is.
LeakCorpus RestOf(const std::string& name, std::span<const Item> items);

struct LeakOptions {
  double ngram_similarity = 0.5;  // Jaccard similarity of the sets of 8 words in a row
  double word_similarity = 0.85;  // Jaccard similarity of the sets of words
};

enum class LeakKind { kExact, kNormalized, kNear };
std::string_view LeakKindName(LeakKind kind);  // "near"
struct Leak {
  std::string item, corpus, other;  // evaluation item, and the text that gives it away
  LeakKind kind = LeakKind::kExact;
  double similarity = 1;
};

// exact: the same bytes; normalized: the same words (in a document: standing in it, for questions of 5 words or more);
// near: similar beyond a threshold, for texts with at least 4 words of their own, unless both declare the same fact.
// Words and 8-grams found in more than half of 20 or more evaluation questions are the prompt's form and do not count.
// In the order of `eval`, then of `corpora`; for each item and corpus only the worst.
std::vector<Leak> FindLeaks(std::span<const Item> eval, std::span<const LeakCorpus> corpora,
                            const LeakOptions& options = {});

}  // namespace qad

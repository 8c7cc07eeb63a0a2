// Few-shot examples: which training items stand in front of a question.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluate/tfidf.h"
#include "experiment/config.h"
#include "text/dataset.h"

namespace qad {

// Examples for one kind of task, the same for all its items, from the training set alone. With a schema: the first
// ticket of each different answer, in the order of the file. Else chosen by seed, answerable and unanswerable as they
// stand to each other in the training set.
std::vector<Item> ChooseShots(const std::vector<Item>& train, bool with_schema, int count, uint64_t seed);

class Shots {
 public:
  // `train` must live as long.
  Shots(const std::vector<Item>& train, const FewShotOptions& options, uint64_t seed);

  // select fixed: ChooseShots of the item's kind. similar: the training items of its kind whose questions are nearest
  // by the cosine of TF-IDF, the nearest last, next to the question (Liu et al. 2022); never the same question, which
  // would bring its answer.
  std::vector<Item> For(const Item& item) const;

 private:
  struct Candidate {
    const Item* item;
    SparseVector question;
  };
  size_t count_;
  std::vector<Item> fixed_[2];    // without a schema, with one
  std::unique_ptr<TfIdf> words_;  // null where fixed
  std::vector<Candidate> candidates_;
};

}  // namespace qad

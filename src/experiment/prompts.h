// The prompt of an arm for an item: the one place where few-shot examples and passages enter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiment/workspace.h"
#include "retrieve/index.h"

namespace qad {

struct Prompt {
  std::vector<TokenId> tokens;
  std::vector<TokenId> reference;     // the right answer, whose probability behind the prompt is measured
  std::vector<std::string> passages;  // ids, best first; empty where none were looked up or found
  bool nothing_found = false;         // passages were looked up in vain: the right answer is a refusal
};

// Few-shot examples for one kind of task, the same for all its items, from the training set alone. With a schema: the
// first ticket of each different answer, in the order of the file. Else chosen by seed, answerable and unanswerable as
// they stand to each other in the training set.
std::vector<Item> ChooseShots(const std::vector<Item>& train, bool with_schema, int count, uint64_t seed);

class PromptMaker {
 public:
  // `index` may be null where no arm looks passages up.
  PromptMaker(const Workspace& workspace, const Index* index);

  Prompt Make(const Model& model, const ArmConfig& arm, const Item& item) const;

 private:
  const Workspace& workspace_;
  const Index* index_;
  std::vector<Item> schema_shots_, answer_shots_;
};

// The sentence that the data refuses with: the answer of its first unanswerable training item, else a plain one.
std::string RefusalOf(const Workspace& workspace);

struct IndexReport {
  double seconds = 0;  // to make it: what an update of the documents costs
  size_t chunks = 0;
};
// outputs/index.db over the current documents, made where it is missing or its documents have changed; `rebuild`: made
// again in any case, to time it.
std::unique_ptr<Index> OpenIndex(Workspace& workspace, bool rebuild, IndexReport* report);

}  // namespace qad

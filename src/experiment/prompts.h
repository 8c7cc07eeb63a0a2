// The prompt of an arm for an item: the one place where few-shot examples and passages enter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiment/shots.h"
#include "experiment/workspace.h"
#include "retrieve/refusal.h"

namespace qad {

struct Prompt {
  std::vector<TokenId> tokens;
  std::vector<Message> messages;              // what they are of; empty where the item is plain text
  std::vector<TokenId> reference;             // the right answer, whose probability behind the prompt is measured
  std::vector<std::vector<TokenId>> choices;  // as the item's
  std::vector<Passage> passages;              // best first; empty where none were looked up, or nothing_found
  bool nothing_found = false;  // what was looked up is nothing, or fits too badly: the answer is a refusal
};

// Whether the prompt is short enough (data.max_length), and the model has positions for `behind` tokens after it.
bool Fits(const Workspace& workspace, const Model& model, const Prompt& prompt, size_t behind);
size_t LongestChoice(const Prompt& prompt);  // tokens; 0 where there are none

class PromptMaker {
 public:
  // `index` may be null where no arm looks passages up. With one, and `rag.refuse: calibrated`, dev decides from which
  // score on there is an answer.
  PromptMaker(const Workspace& workspace, const Index* index);

  Prompt Make(const Model& model, const ArmConfig& arm, const Item& item) const;
  const RefusalRule& refusal() const { return refusal_; }

 private:
  const Workspace& workspace_;
  const Index* index_;
  Shots shots_;
  RefusalRule refusal_;
};

// The sentence that the data refuses with: the answer of its first unanswerable training item, else a plain one.
std::string RefusalOf(const Workspace& workspace);

std::filesystem::path IndexPath(const Config& config);  // of the documents' index

struct IndexReport {
  double seconds = 0;  // to make it: what an update of the documents costs
  size_t chunks = 0;
  bool written = false;  // else the index that stood there was of these documents
};
// IndexPath over the current documents, made where it is missing or its documents have changed; `rebuild`: made
// again in any case, to time it.
std::unique_ptr<Index> OpenIndex(Workspace& workspace, bool rebuild, IndexReport* report);
// Of the documents that an update may have replaced since.
std::unique_ptr<Index> OpenEarlierIndex(Workspace& workspace);

}  // namespace qad

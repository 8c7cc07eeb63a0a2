// The dev items answered and scored as evaluation does: what epochs are kept by, and what quality floors of quantized
// weights are held against.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "experiment/prompts.h"
#include "experiment/workspace.h"

namespace qad {

// Items with the passages that retrieval finds for them. The dev set is of the time of the training data, so the
// documents are those from before the update.
std::vector<Item> WithPassages(Workspace& workspace, std::vector<Item> items);

class DevSet {
 public:
  // Items that have no metric or do not fit are left out. Passages are those that an item brings along; `prompting`:
  // kZeroShot or kFewShot. The workspace outlives it.
  DevSet(Workspace& workspace, const Model& model, const std::vector<Item>& dev, Prompting prompting);

  bool empty() const { return items_.empty(); }
  // Of what answering takes: cache, activations and logits.
  size_t bytes() const { return bytes_; }
  // Each slice's share of right answers of the model as it is now, which has the tokenizer of the first.
  std::map<std::string, double> Score(Model& model) const;

 private:
  Workspace& workspace_;
  std::vector<Item> items_;
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<std::string> refusals_;
  size_t bytes_ = 0;
};

}  // namespace qad

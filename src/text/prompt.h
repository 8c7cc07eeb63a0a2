// The messages that stand before a model for one item: the same function for evaluation, training and `qad ask`, so
// that all arms share instruction, schema and template byte for byte and differ only in examples and passages.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/dataset.h"

namespace qad {

struct PromptParts {
  std::string system;                      // used where the item has no system message of its own; may be empty
  std::span<const Item> shots = {};        // few-shot examples: as earlier turns of the conversation
  std::span<const Passage> passages = {};  // retrieved passages; an item's own passages take their place
};

// System message, examples, then the item's own turns; passages stand before the last user turn.
std::vector<Message> BuildMessages(const Item& item, const PromptParts& parts);

// A passage block and the question behind it. Without passages, the question alone.
std::string WithPassages(std::span<const Passage> passages, const std::string& question);

}  // namespace qad

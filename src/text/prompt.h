// The messages that stand before a model for one item: the same function for evaluation, training and `qad ask`, so
// that all arms share instruction, schema and template byte for byte and differ only in examples and passages.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/dataset.h"

namespace qad {

// System message (the item's own, or `system` where it has none and that is not empty), few-shot examples as earlier
// turns of the conversation, then the item's own turns. Passages are put in by retrieve/prompt.
std::vector<Message> BuildMessages(const Item& item, const std::string& system, std::span<const Item> shots = {});

}  // namespace qad

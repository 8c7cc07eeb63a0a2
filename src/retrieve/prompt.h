// How passages are put before a question: the one place for evaluation, training on given passages, and `ask`.
#pragma once

#include <string_view>
#include <vector>

#include "text/chat.h"
#include "text/dataset.h"

namespace qad {

// What an item asks: its last user message; empty where it has none.
std::string_view QuestionOf(const Item& item);

struct GroundedPrompt {
  std::vector<Message> messages;
  bool grounded = false;  // false: no passages, the messages are as they were; the caller may refuse
};

// The last user message becomes
//
//   Context:
//   [returns.md#Return window] Goods may be returned within …
//   [returns.md#Refunds] …
//
//   <the message, byte for byte>
//
// with the passages in the order given, best first, and the white space within each made single, so that no passage can
// begin a line with an id of its own. Other messages stay. Passages are data: encode them with special tokens off.
// Errors (kInput): passages, but no user message.
GroundedPrompt PutPassages(std::vector<Message> messages, const std::vector<Passage>& passages);

}  // namespace qad

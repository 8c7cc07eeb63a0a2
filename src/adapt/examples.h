// From dataset items to what is trained on: token ids with a label for every position that counts in the loss.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/training.h"
#include "text/chat.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace qad {

// labels[t] is the token to predict after tokens[t], or kNotSupervised. The sequence's last token is only ever a label.
struct TrainExample {
  std::vector<TokenId> tokens, labels;
  std::string id = {};  // of its item, for messages

  size_t supervised() const;
};

struct ExampleSet {
  std::vector<TrainExample> examples;
  // Ids of items that are left out whole: longer than allowed; without a token to learn.
  std::vector<std::string> skipped = {}, unsupervised = {};

  size_t tokens() const;
  size_t longest() const;
};

// The prompt as evaluation encodes it (messages, generation prompt), then the completion as people's text (special
// tokens off), then the end of the turn and the end-of-sequence token, so that generation learns to stop. With
// `completion_only` the loss counts from the completion's first token, else from the second token of the prompt.
TrainExample MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& prompt,
                         std::string_view completion, bool completion_only);
// The messages that evaluation puts before the model for an item: system prompt, passages and all.
using PromptFor = std::function<std::vector<Message>(const Item&)>;
// The same for an item. Items of plain text ({"text"}) have no template and count whole.
TrainExample MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat, const Item& item,
                         const PromptFor& prompt, bool completion_only);

// All items but those of more than `max_length` tokens (prompt, completion and end), and those that leave nothing to
// learn. Errors (kInput): no item is left.
ExampleSet MakeExamples(const Tokenizer& tokenizer, const ChatTemplate& chat, std::span<const Item> items,
                        const PromptFor& prompt, bool completion_only, size_t max_length);

// Moves a seeded share of `train` (at least one item and never all) into a validation set; for those who have no dev
// set. Items about one fact stay together. Nothing where fraction is 0 or there are fewer than two facts.
std::vector<Item> SplitDev(std::vector<Item>& train, double fraction, uint64_t seed);

}  // namespace qad

#include "adapt/examples.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "adapt/seeds.h"
#include "base/error.h"

namespace qad {
namespace {

// Position t learns to predict token t + 1 where that token's place is at least `first_label`.
TrainExample WithLabels(std::vector<TokenId> sequence, size_t first_label) {
  TrainExample example;
  for (size_t t = 0; t + 1 < sequence.size(); ++t)
    example.labels.push_back(t + 1 >= first_label ? sequence[t + 1] : kNotSupervised);
  if (!sequence.empty()) sequence.pop_back();
  example.tokens = std::move(sequence);
  return example;
}

void Append(std::vector<TokenId>& to, const std::vector<TokenId>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

size_t TrainExample::supervised() const {
  return labels.size() - static_cast<size_t>(std::ranges::count(labels, kNotSupervised));
}

size_t ExampleSet::tokens() const {
  size_t sum = 0;
  for (const TrainExample& example : examples) sum += example.tokens.size();
  return sum;
}

size_t ExampleSet::longest() const {
  size_t longest = 0;
  for (const TrainExample& example : examples) longest = std::max(longest, example.tokens.size());
  return longest;
}

TrainExample MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& prompt,
                         std::string_view completion, bool completion_only) {
  std::vector<TokenId> sequence = chat.Encode(tokenizer, prompt, true);
  const size_t first_label = completion_only ? sequence.size() : 1;
  Append(sequence, tokenizer.Encode(completion));
  Append(sequence, chat.EncodeEnd(tokenizer));
  return WithLabels(std::move(sequence), first_label);
}

TrainExample MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat, const Item& item,
                         const PromptFor& prompt, bool completion_only) {
  if (item.plain_text) {
    std::vector<TokenId> sequence;
    if (tokenizer.add_bos()) sequence.push_back(*tokenizer.bos());
    Append(sequence, tokenizer.Encode(item.completion));
    if (tokenizer.eos() && (sequence.empty() || sequence.back() != *tokenizer.eos()))
      sequence.push_back(*tokenizer.eos());
    return WithLabels(std::move(sequence), 1);
  }
  return MakeExample(tokenizer, chat, prompt(item), item.completion, completion_only);
}

ExampleSet MakeExamples(const Tokenizer& tokenizer, const ChatTemplate& chat, std::span<const Item> items,
                        const PromptFor& prompt, bool completion_only, size_t max_length) {
  ExampleSet set;
  for (const Item& item : items) {
    TrainExample example = MakeExample(tokenizer, chat, item, prompt, completion_only);
    example.id = item.id;
    if (example.tokens.size() + 1 > max_length)
      set.skipped.push_back(item.id);
    else if (example.supervised() == 0)
      set.unsupervised.push_back(item.id);
    else
      set.examples.push_back(std::move(example));
  }
  if (set.examples.empty() && !items.empty() && set.skipped.empty())
    FailInput("none of the {} training items can be used: none has a token to learn (first: {})", items.size(),
              set.unsupervised.front());
  if (set.examples.empty() && !items.empty())
    FailInput("none of the {} training items can be used: {} are longer than data.max_length = {} tokens (first: {})",
              items.size(), set.skipped.size(), max_length, set.skipped.front());
  return set;
}

std::vector<Item> SplitDev(std::vector<Item>& train, double fraction, uint64_t seed) {
  std::vector<std::vector<size_t>> facts;
  std::map<std::string, size_t> place;
  for (size_t i = 0; i < train.size(); ++i) {
    const auto [found, fresh] = place.emplace(train[i].Cluster(), facts.size());
    if (fresh) facts.emplace_back();
    facts[found->second].push_back(i);
  }
  if (fraction <= 0 || facts.size() < 2) return {};
  const auto share = static_cast<size_t>(std::lround(fraction * static_cast<double>(train.size())));
  std::vector<size_t> order(facts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Random(SeedFor(seed, SeedPurpose::kDevSplit)).Shuffle(order);
  std::vector<bool> is_dev(train.size(), false);
  size_t count = 0;
  for (size_t k = 0; k + 1 < order.size() && (count == 0 || count < share); ++k)
    for (const size_t i : facts[order[k]]) {
      is_dev[i] = true;
      ++count;
    }
  std::vector<Item> dev, rest;
  for (size_t i = 0; i < train.size(); ++i) (is_dev[i] ? dev : rest).push_back(std::move(train[i]));
  train = std::move(rest);
  return dev;
}

}  // namespace qad

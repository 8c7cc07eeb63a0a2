#include "adapt/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace qad {

StepPlan::StepPlan(size_t examples, size_t batch_size, double epochs, uint64_t seed)
    : order_(examples), batch_size_(batch_size), seed_(seed) {
  QAD_CHECK(examples > 0 && batch_size > 0 && epochs > 0);
  steps_per_epoch_ = static_cast<int64_t>((examples + batch_size - 1) / batch_size);
  total_steps_ = static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch_)));
}

std::vector<size_t> StepPlan::ExamplesOf(int64_t step) {
  if (const int64_t epoch = step / steps_per_epoch_; epoch != order_epoch_) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    Random(seed_, static_cast<uint64_t>(epoch)).Shuffle(order_);
    order_epoch_ = epoch;
  }
  const size_t begin = static_cast<size_t>(step % steps_per_epoch_) * batch_size_;
  const size_t end = std::min(order_.size(), begin + batch_size_);
  return {order_.begin() + static_cast<std::ptrdiff_t>(begin), order_.begin() + static_cast<std::ptrdiff_t>(end)};
}

namespace {

constexpr size_t kLeastShared = 16;  // tokens; fewer are not worth segments of their own

// Sequences that begin alike, as far as none of them is trained on it.
struct Group {
  std::vector<size_t> members;
  size_t whole = 0;   // tokens of all sequences
  size_t common = 0;  // of what they begin with

  size_t prefix() const { return members.size() > 1 && common >= kLeastShared ? common : 0; }
  size_t tokens() const { return whole - (members.size() - 1) * prefix(); }
};

Group Alone(const std::vector<TrainExample>& examples, size_t index) {
  const TrainExample& example = examples[index];
  const auto first = std::ranges::find_if(example.labels, [](TokenId label) { return label != kNotSupervised; });
  const auto common = std::min(static_cast<size_t>(first - example.labels.begin()), example.tokens.size() - 1);
  return {.members = {index}, .whole = example.tokens.size(), .common = common};
}

Group Joined(const std::vector<TrainExample>& examples, const Group& group, const Group& alone) {
  const std::vector<TokenId>&a = examples[group.members.front()].tokens, &b = examples[alone.members.front()].tokens;
  const size_t most = std::min(group.common, alone.common);
  Group joined = group;
  joined.members.push_back(alone.members.front());
  joined.whole += alone.whole;
  joined.common = static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
  return joined;
}

struct Pass {
  std::vector<Group> groups;
  size_t tokens = 0;
};

// Sequences that begin alike are made neighbours; each joins the group before it where that saves tokens.
std::vector<Pass> CutIntoPasses(const std::vector<TrainExample>& examples, std::vector<size_t> chosen, size_t limit) {
  std::ranges::stable_sort(chosen, {}, [&](size_t i) -> const std::vector<TokenId>& { return examples[i].tokens; });
  std::vector<Pass> passes;
  for (const size_t index : chosen) {
    const Group alone = Alone(examples, index);
    if (!passes.empty()) {
      Pass& pass = passes.back();
      Group& last = pass.groups.back();
      Group joined = Joined(examples, last, alone);
      const size_t with = pass.tokens - last.tokens() + joined.tokens(), beside = pass.tokens + alone.tokens();
      if (with < beside && with <= limit) {
        last = std::move(joined);
        pass.tokens = with;
        continue;
      }
      if (beside <= limit) {
        pass.groups.push_back(alone);
        pass.tokens = beside;
        continue;
      }
    }
    passes.push_back({.groups = {alone}, .tokens = alone.tokens()});
  }
  return passes;
}

void Append(const TrainExample& example, size_t begin, size_t end, size_t continues, PackedBatch& batch) {
  const auto add = [&](const std::vector<TokenId>& from, std::vector<TokenId>& to) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(begin),
              from.begin() + static_cast<std::ptrdiff_t>(end));
  };
  add(example.tokens, batch.tokens);
  add(example.labels, batch.labels);
  batch.lengths.push_back(end - begin);
  batch.continues.push_back(continues);
}

}  // namespace

std::vector<PackedBatch> Pack(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen,
                              size_t limit) {
  std::vector<PackedBatch> packed;
  for (const Pass& pass : CutIntoPasses(examples, chosen, limit)) {
    PackedBatch& batch = packed.emplace_back();
    for (const Group& group : pass.groups) {
      const size_t prefix = group.prefix(), first = batch.lengths.size();
      if (prefix > 0) Append(examples[group.members.front()], 0, prefix, PackedBatch::kNoSegment, batch);
      for (const size_t index : group.members)
        Append(examples[index], prefix, examples[index].tokens.size(), prefix > 0 ? first : PackedBatch::kNoSegment,
               batch);
    }
  }
  return packed;
}

size_t LargestPass(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen, size_t limit) {
  size_t largest = 0;
  for (const Pass& pass : CutIntoPasses(examples, chosen, limit)) largest = std::max(largest, pass.tokens);
  return largest;
}

}  // namespace qad

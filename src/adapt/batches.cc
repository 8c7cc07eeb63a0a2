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

constexpr size_t kLeastShared = 16;  // tokens; fewer are not worth copying keys for

// Sequences of one pass, and what all begin with alike, unsupervised.
struct Pass {
  std::vector<size_t> chosen;
  size_t whole = 0;  // tokens of all sequences
  size_t common = 0;

  size_t prefix() const { return chosen.size() > 1 && common >= kLeastShared ? common : 0; }
  size_t tokens() const { return whole - (chosen.empty() ? 0 : (chosen.size() - 1) * prefix()); }

  // With one more sequence.
  Pass With(const std::vector<TrainExample>& examples, size_t index) const {
    const TrainExample& example = examples[index];
    const TrainExample& first = chosen.empty() ? example : examples[chosen.front()];
    Pass more = *this;
    more.chosen.push_back(index);
    more.whole += example.tokens.size();
    const size_t most = std::min(chosen.empty() ? example.tokens.size() : common, example.tokens.size() - 1);
    size_t t = 0;
    while (t < most && example.labels[t] == kNotSupervised && example.tokens[t] == first.tokens[t]) ++t;
    more.common = t;
    return more;
  }
};

std::vector<Pass> CutIntoPasses(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen,
                                size_t limit) {
  std::vector<Pass> passes;
  for (const size_t index : chosen) {
    if (!passes.empty())
      if (Pass more = passes.back().With(examples, index); more.tokens() <= limit) {
        passes.back() = std::move(more);
        continue;
      }
    passes.push_back(Pass().With(examples, index));
  }
  return passes;
}

}  // namespace

std::vector<PackedBatch> Pack(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen,
                              size_t limit) {
  std::vector<PackedBatch> packed;
  for (const Pass& pass : CutIntoPasses(examples, chosen, limit)) {
    PackedBatch& batch = packed.emplace_back();
    batch.prefix = pass.prefix();
    for (const size_t index : pass.chosen) {
      const TrainExample& example = examples[index];
      const auto from = static_cast<std::ptrdiff_t>(batch.tokens.empty() ? 0 : batch.prefix);
      batch.tokens.insert(batch.tokens.end(), example.tokens.begin() + from, example.tokens.end());
      batch.labels.insert(batch.labels.end(), example.labels.begin() + from, example.labels.end());
      batch.lengths.push_back(example.tokens.size() - batch.prefix);
    }
  }
  return packed;
}

size_t LargestPass(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen, size_t limit) {
  size_t largest = 0;
  for (const Pass& pass : CutIntoPasses(examples, chosen, limit)) largest = std::max(largest, pass.tokens());
  return largest;
}

}  // namespace qad

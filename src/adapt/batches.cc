#include "adapt/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

std::vector<PackedBatch> Pack(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen,
                              size_t limit) {
  std::vector<PackedBatch> passes;
  for (const size_t index : chosen) {
    const TrainExample& example = examples[index];
    if (passes.empty() || passes.back().tokens.size() + example.tokens.size() > limit) passes.emplace_back();
    PackedBatch& pass = passes.back();
    pass.tokens.insert(pass.tokens.end(), example.tokens.begin(), example.tokens.end());
    pass.labels.insert(pass.labels.end(), example.labels.begin(), example.labels.end());
    pass.lengths.push_back(example.tokens.size());
  }
  return passes;
}

size_t LargestPass(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen, size_t limit) {
  size_t largest = 0, pass = 0;
  for (const size_t index : chosen) {
    const size_t tokens = examples[index].tokens.size();
    pass = pass > 0 && pass + tokens <= limit ? pass + tokens : tokens;
    largest = std::max(largest, pass);
  }
  return largest;
}

}  // namespace qad

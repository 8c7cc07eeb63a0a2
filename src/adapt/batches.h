// Which examples each optimizer step sees, and how they are packed into forward passes.
#pragma once

#include <cstdint>
#include <vector>

#include "adapt/examples.h"
#include "model/training.h"

namespace qad {

// Every epoch is a seeded shuffle of all examples, cut into steps of `batch_size` (the last one may be smaller). The
// order is a pure function of (seed, epoch), so that a resumed run needs no more than its step.
class StepPlan {
 public:
  // total_steps = ⌈epochs · steps per epoch⌉, as transformers' Trainer; examples > 0, batch_size > 0, epochs > 0.
  StepPlan(size_t examples, size_t batch_size, double epochs, uint64_t seed);

  int64_t total_steps() const { return total_steps_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Whether an epoch, or the training, ends with this step.
  bool EndsEpoch(int64_t step) const { return (step + 1) % steps_per_epoch_ == 0 || step + 1 == total_steps_; }
  std::vector<size_t> ExamplesOf(int64_t step);

 private:
  std::vector<size_t> order_;  // of order_epoch_
  int64_t order_epoch_ = -1;
  size_t batch_size_;
  uint64_t seed_;
  int64_t steps_per_epoch_, total_steps_;
};

// As many sequences to a pass as fit in `limit` tokens; a longer one has a pass of its own. They are ordered by their
// tokens, and what neighbours begin with, as far as none of them is trained on it, such as a system prompt, is packed
// once.
std::vector<PackedBatch> Pack(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen,
                              size_t limit);

// Tokens of the largest of those passes.
size_t LargestPass(const std::vector<TrainExample>& examples, const std::vector<size_t>& chosen, size_t limit);

}  // namespace qad

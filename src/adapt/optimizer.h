// AdamW over an adapter's matrices (Loshchilov & Hutter 2019) with torch.optim.AdamW's defaults, and clipping by global
// norm as torch.nn.utils.clip_grad_norm_.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "adapt/lora.h"

namespace qad {

// Euclidean norm in double; the same for any number of threads. NaN and infinity pass through.
double GlobalNorm(std::span<const float> gradients);
// The factor that brings `norm` to at most `max_norm` (0: no clipping): min(1, max_norm / (norm + 1e-6)).
double ClipFactor(double norm, double max_norm);

class AdamWOptimizer {
 public:
  explicit AdamWOptimizer(size_t parameters) : m_(parameters, 0.0f), v_(parameters, 0.0f) {}

  // One step on the adapter's values with its gradients times `gradient_scale`.
  void Step(LoraAdapter& adapter, double learning_rate, double weight_decay, double gradient_scale);

  // State, for checkpoints.
  std::span<float> first_moments() { return m_; }
  std::span<float> second_moments() { return v_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  size_t bytes() const { return (m_.size() + v_.size()) * sizeof(float); }

 private:
  std::vector<float> m_, v_;
  int64_t steps_ = 0;
};

}  // namespace qad

// Rotary position embedding (Su et al. 2021) of the heads of packed rows. Forward stands above backward.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ops/context.h"

namespace qad {

// Cosines and sines of position · theta^(−2i/head_dim), i < head_dim/2, for positions from 0 on.
class RotaryTable {
 public:
  RotaryTable(float theta, size_t head_dim) : theta_(theta), head_dim_(head_dim) {}
  void Extend(size_t positions);  // to at least so many positions

  size_t head_dim() const { return head_dim_; }
  const float* Cosines(size_t position) const { return cosines_.data() + position * (head_dim_ / 2); }
  const float* Sines(size_t position) const { return sines_.data() + position * (head_dim_ / 2); }

 private:
  float theta_;
  size_t head_dim_;
  std::vector<float> cosines_, sines_;  // (positions, head_dim/2)
};

// The first `heads` heads of each row of x (positions.size(), width), in place. The table must reach every position.
void RotaryForward(Context& context, const RotaryTable& table, std::span<const size_t> positions, size_t heads,
                   float* x, size_t width);
// The gradient, in place: heads are turned back.
void RotaryBackward(Context& context, const RotaryTable& table, std::span<const size_t> positions, size_t heads,
                    float* dx, size_t width);

}  // namespace qad

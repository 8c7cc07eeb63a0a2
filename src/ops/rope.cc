#include "ops/rope.h"

#include <cmath>

#include "kernels/elementwise.h"
#include "ops/parallel.h"

namespace qad {

// Angles as transformers computes them: f32 inverse frequencies times the position, in f32.
void RotaryTable::Extend(size_t positions) {
  const size_t half = head_dim_ / 2, have = cosines_.size() / half;
  if (positions <= have) return;
  cosines_.resize(positions * half);
  sines_.resize(positions * half);
  for (size_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim_);
    const auto inverse = static_cast<float>(1.0 / std::pow(static_cast<double>(theta_), exponent));
    for (size_t p = have; p < positions; ++p) {
      const float angle = static_cast<float>(p) * inverse;
      cosines_[p * half + i] = std::cos(angle);
      sines_[p * half + i] = std::sin(angle);
    }
  }
}

namespace {

void Turn(Context& context, const RotaryTable& table, std::span<const size_t> positions, size_t heads, float* x,
          size_t width, float sign) {
  const ScopedTimer timer(context, Timed::kRope);
  const size_t dim = table.head_dim();
  ForEachRow(positions.size(), width, [&](size_t r) {
    const float* cosines = table.Cosines(positions[r]);
    const float* sines = table.Sines(positions[r]);
    for (size_t head = 0; head < heads; ++head) Rotate(x + r * width + head * dim, cosines, sines, sign, dim);
  });
}

}  // namespace

void RotaryForward(Context& context, const RotaryTable& table, std::span<const size_t> positions, size_t heads,
                   float* x, size_t width) {
  Turn(context, table, positions, heads, x, width, 1.0f);
}

void RotaryBackward(Context& context, const RotaryTable& table, std::span<const size_t> positions, size_t heads,
                    float* dx, size_t width) {
  Turn(context, table, positions, heads, dx, width, -1.0f);
}

}  // namespace qad

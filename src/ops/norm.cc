#include "ops/norm.h"

#include "kernels/elementwise.h"
#include "ops/parallel.h"

namespace qad {

void NormForward(Context& context, const NormWeights& norm, const float* x, size_t rows, float* y, float* stats) {
  const ScopedTimer timer(context, Timed::kNorm);
  const size_t n = norm.width;
  ForEachRow(rows, n, [&](size_t r) {
    LayerNormStats s{};
    if (norm.kind == Norm::kRms)
      s.inverse_deviation = RmsNorm(x + r * n, norm.gain, norm.epsilon, y + r * n, n);
    else
      s = LayerNorm(x + r * n, norm.gain, norm.bias, norm.epsilon, y + r * n, n);
    if (stats == nullptr) return;
    stats[kNormStats * r] = s.mean;
    stats[kNormStats * r + 1] = s.inverse_deviation;
  });
}

void NormBackward(Context& context, const NormWeights& norm, const float* x, const float* stats, const float* dy,
                  size_t rows, float* dx) {
  const ScopedTimer timer(context, Timed::kNorm);
  const size_t n = norm.width;
  ForEachRow(rows, n, [&](size_t r) {
    const LayerNormStats s{stats[kNormStats * r], stats[kNormStats * r + 1]};
    if (norm.kind == Norm::kRms)
      RmsNormBackward(x + r * n, norm.gain, s.inverse_deviation, dy + r * n, dx + r * n, n);
    else
      LayerNormBackward(x + r * n, norm.gain, s, dy + r * n, dx + r * n, n);
  });
}

}  // namespace qad

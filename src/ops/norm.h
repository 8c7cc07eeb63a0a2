// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016) of packed rows. Forward stands above backward.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/context.h"

namespace qad {

enum class Norm : uint8_t { kRms, kLayer };

// A view of one norm's weights; gain and bias have `width` values. The bias is not read for kRms.
struct NormWeights {
  Norm kind = Norm::kRms;
  size_t width = 0;
  float epsilon = 0;
  const float* gain = nullptr;
  const float* bias = nullptr;
};

// What backward needs of a forward: two floats a row, its mean (0 for kRms) and inverse deviation (or inverse rms).
inline constexpr size_t kNormStats = 2;

// x (rows, width) → y (rows, width); in place is allowed. `stats` (rows, kNormStats) may be null.
void NormForward(Context& context, const NormWeights& norm, const float* x, size_t rows, float* y,
                 float* stats = nullptr);
// dx (rows, width) += the gradient with respect to x of dy (rows, width). The weights are frozen.
void NormBackward(Context& context, const NormWeights& norm, const float* x, const float* stats, const float* dy,
                  size_t rows, float* dx);

}  // namespace qad

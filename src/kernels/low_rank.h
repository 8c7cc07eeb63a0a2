// The second factor of a low-rank update, row by row.
#pragma once

#include <cstddef>

namespace qad {

// y[r] += scale · Σ_k b[r·rank + k]·z[k] for r < outputs.
void AddLowRank(const float* b, size_t outputs, size_t rank, const float* z, float scale, float* y);

}  // namespace qad

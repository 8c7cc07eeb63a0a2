// The second factor of a low-rank update, row by row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

// y[r] += scale · Σ_k b[r·rank + k]·z[k] for r < outputs.
void AddLowRank(const float* b, size_t outputs, size_t rank, const float* z, float scale, float* y);

// The same of a factor in bf16 that lies the other way, rows of `stride`: y[r] += scale · Σ_k b[k·stride + r]·z[k].
// No sum is taken across lanes.
void AddLowRankColumns(const uint16_t* b, size_t stride, size_t outputs, size_t rank, const float* z, float scale,
                       float* y);

}  // namespace qad

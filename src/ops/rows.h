// Rows of tensors moved and scaled: no arithmetic but that.
#pragma once

#include <cstddef>
#include <span>

namespace qad {

// out (rows.size(), width) = the named rows of x.
void GatherRows(const float* x, std::span<const size_t> rows, size_t width, float* out);
// The named rows of out = x (rows.size(), width).
void ScatterRows(const float* x, std::span<const size_t> rows, size_t width, float* out);

void Scale(float* x, float factor, size_t n);

}  // namespace qad

// Rows of tensors moved, rounded and scaled: no arithmetic but that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/context.h"

namespace qad {

// out (rows.size(), width) = the named rows of x.
void GatherRows(const float* x, std::span<const size_t> rows, size_t width, float* out);
// The named rows of out = x (rows.size(), width).
void ScatterRows(const float* x, std::span<const size_t> rows, size_t width, float* out);

// x (rows, width) is rounded to bf16 where it lies, and `out` is what it becomes.
void RoundRowsToBF16(Context& context, float* x, size_t rows, size_t width, uint16_t* out);
// out (rows, width) = what x stands for.
void WidenRows(Context& context, const uint16_t* x, size_t rows, size_t width, float* out);

void Scale(float* x, float factor, size_t n);

}  // namespace qad

// Integer products with AVX-512 VNNI, which Highway 1.0.3 has no target for. Call only where HasVnni().
#pragma once

#include "kernels/matrix.h"

namespace qad {

// Whether the CPU has AVX-512 VNNI and the current target may use it.
bool HasVnni();

// y[m·ldy + r] for the 16 rows r of the tile that begins at `row` and activations first ≤ m < first + count of one
// strip; y is that of the first of both.
void DotTileVnni(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                 size_t ldy);

// For tests: what a CPU with AVX-512 and without VNNI would run.
void AllowVnni(bool allow);

}  // namespace qad

// Integer products with AVX2 (VPMADDUBSW), which Highway 1.0.3 has no operation for. Call only where HasAvx2Tiles().
#pragma once

#include "kernels/matrix.h"

namespace qad {

// Whether the CPU has AVX2 and the current target may use it.
bool HasAvx2Tiles();

// As DotTileVnni.
void DotTileAvx2(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                 size_t ldy);

}  // namespace qad

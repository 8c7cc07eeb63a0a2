// Products of many rows in bf16 with AVX-512 BF16 (VDPBF16PS), which Highway 1.0.3 has no target for: weights in any
// layout are decoded to panels of 16 outputs, and each panel is multiplied while it is in the cache. Call only where
// HasBF16Dot().
#pragma once

#include "kernels/matrix.h"

namespace qad {

// Whether the CPU has AVX-512 BF16 and the current target may use it.
bool HasBF16Dot();

// A panel: (pairs of inputs, kTileRows outputs, 2) in bf16. Activations come as (count, 2·pairs), an odd input being
// followed by a zero.
inline size_t InputPairs(size_t cols) { return (cols + 1) / 2; }
inline size_t PanelValues(size_t cols) { return InputPairs(cols) * 2 * kTileRows; }

// The 16 rows from `row` on, a multiple of 16; rows beyond the matrix are zeros. Rounded to nearest even. Of kInt8Row
// the codes, exact in bf16, without the row's scale.
void DecodeBF16Panel(const MatrixView& w, size_t row, uint16_t* panel);

// The same of wᵀ, for a dense layout: inputs are the rows of w, outputs its 16 columns from `column` on. The panel has
// InputPairs(w.rows) pairs.
void DecodeBF16ColumnPanel(const MatrixView& w, size_t column, uint16_t* panel);

struct BF16Product {
  const uint16_t* x = nullptr;  // (count, ldx), 2·pairs of them used
  size_t count = 0, ldx = 0, pairs = 0;
  const uint16_t* panels = nullptr;  // one after another
  size_t outputs = 0;                // of all panels, the last one's zeros left out
  const float* scales = nullptr;     // (outputs) that sums are multiplied by, or null
  float* y = nullptr;                // (count, ldy)
  size_t ldy = 0;
  bool accumulate = false;  // y += instead of y =
};
// Each output is summed over its inputs in the same order, whatever the count and the panels beside it.
void MultiplyBF16Panels(const BF16Product& product);

// A few rows of activations need no panels: rows begin ≤ r < end of a kBF16 matrix are read once, as they lie.
// y[m·ldy + r] for m < x.count; x as in BF16Product. Summed in the same order whatever the count.
struct BF16Rows {
  const uint16_t* data = nullptr;  // (count, stride)
  size_t count = 0, stride = 0;
};
void DotRowsBF16(const MatrixView& w, size_t begin, size_t end, const BF16Rows& x, float* y, size_t ldy);

}  // namespace qad

// Products in bf16 with AVX-512 BF16 (VDPBF16PS) or, where the CPU has them, in tiles of AMX (TDPBF16PS), neither of
// which Highway 1.0.3 has a target for, and in f32 by vectors of AVX-512: weights in any layout are decoded to panels
// of 16 outputs, and each panel is multiplied while it is in the cache. Tiles of bf16 are panels already, one after
// another. Call only where HasBF16Dot().
#pragma once

#include <type_traits>

#include "kernels/matrix.h"
#include "kernels/tiles.h"

namespace qad {

// Whether the CPU has AVX-512 BF16 and the current target may use it.
bool HasBF16Dot();
// Whether it has tiles for it, too (AMX), which outrun products in f32 threefold and more.
bool HasBF16Tiles();

// A panel: (pairs of inputs, kTileRows outputs, 2) in bf16. Activations come as (count, 2·pairs), an odd input being
// followed by a zero.
inline size_t PanelValues(size_t cols) { return InputPairs(cols) * 2 * kTileRows; }

// The 16 rows from `row` on, a multiple of 16; rows beyond the matrix are zeros. Rounded to nearest even. Of kInt8Row
// the codes, exact in bf16, without the row's scale. Returns where the panel is: `panel`, or in place for kBF16Tile,
// whose tiles are panels.
const uint16_t* DecodeBF16Panel(const MatrixView& w, size_t row, uint16_t* panel);

// What those of kF32 leave of the weights, rounded in turn: both together have them to 2⁻¹⁷.
void DecodeBF16Rest(const MatrixView& w, size_t row, uint16_t* panel);

// A row of activations likewise: rounded, and what that leaves, rounded in turn.
void SplitToBF16(const float* in, uint16_t* high, uint16_t* low, size_t n);

// The same of wᵀ: inputs are rows begin … end of w, outputs its 16 columns from `column` on, a multiple of 16. Begin
// and end are multiples of 32, or end is w.rows. The panel has InputPairs(end − begin) pairs. Of kInt8Row with the
// rows' scales.
void DecodeBF16ColumnPanel(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel);

// What that leaves of weights in f32, as DecodeBF16Rest does.
void DecodeBF16ColumnRest(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel);

// The outputs of a panel one after another, each with all its inputs, as activations lie: (kTileRows, 2·pairs) with row
// stride ld.
void TransposePanel(const uint16_t* panel, size_t pairs, uint16_t* rows, size_t ld);

// The same in f32, (inputs, kTileRows), of layouts of whole rows.
void DecodeF32Panel(const MatrixView& w, size_t row, float* panel);

// Panels and activations go in words of 32 bits: two inputs of bf16, or one of f32.
template <typename Element>
struct PanelProduct {
  static constexpr size_t kInputs = std::is_same_v<Element, float> ? 1 : 2;  // of a word
  const Element* x = nullptr;  // (count, ldx), kInputs·words of them used, or twice as many
  size_t count = 0, ldx = 0, words = 0;
  const Element* panels = nullptr;  // one after another
  bool from_memory = false;         // not in the cache yet: vectors prefetch them; tiles gain nothing by it
  size_t outputs = 0;               // of all panels, the last one's zeros left out
  const float* scales = nullptr;    // (outputs) that sums are multiplied by, or null
  float* y = nullptr;               // (count, ldy)
  size_t ldy = 0;
  bool accumulate = false;  // y += instead of y =
  // Rows of x, and panels, are two of `words` each, one after another: rounded values, and what these leave. The
  // product is x₁ w₁ + x₂ w₁ + x₁ w₂. Only of bf16, and where HasBF16Tiles().
  bool in_parts = false;
};
using BF16Product = PanelProduct<uint16_t>;
using F32Product = PanelProduct<float>;
// Each output is summed over its inputs in the same order, whatever the count and the panels beside it.
void MultiplyPanels(const BF16Product& product);
void MultiplyPanels(const F32Product& product);

}  // namespace qad

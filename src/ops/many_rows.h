// Products of rows with a weight matrix of any layout: panels of decoded weights, multiplied in bf16 by our own kernel
// where the CPU has it, else in f32 by the MatmulEngine. For operations only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"
#include "ops/context.h"
#include "ops/parallel.h"

namespace qad {

// Rows of activations, (count, columns of whoever reads them).
struct Rows {
  const float* data;
  size_t count, stride;
};

// Rounded ones, (count, stride).
struct BF16Rows {
  const uint16_t* data = nullptr;
  size_t count = 0, stride = 0;
};

// Whether both sides are rounded to bf16: in fast mode, if the CPU can multiply that, for weights that are not f32
// (Context::f32_in_bf16: for all).
bool RoundsToBF16(const Context& context, const MatrixView& w);
// Whether our own panels are what multiplies by w, which can add to y at no cost: those, and in exact mode what
// Context::f32_in_parts says.
bool UsesOwnPanels(const Context& context, const MatrixView& w);

// Activations in the types that products want them in, converted when first asked for and kept for all parts of a
// linear: valid until the next call with other rows.
class Activations {
 public:
  Activations(Context& context, const Rows& x, size_t cols) : context_(context), x_(x), cols_(cols) {}
  const Rows& rows() const { return x_; }
  // (count, bf16_stride()), the last input of an odd number followed by a zero.
  const uint16_t* bf16();
  // (count, 2 · bf16_stride()): the same, and what that leaves of the activations, rounded in turn.
  const uint16_t* parts();
  size_t bf16_stride() const { return 2 * InputPairs(cols_); }

 private:
  Context& context_;
  Rows x_;
  size_t cols_;
  const uint16_t *bf16_ = nullptr, *parts_ = nullptr;
};

// y[m·ldy + r] = Σ x·w of row r; added to y where UsesOwnPanels and `accumulate`.
void ManyRows(Context& context, const MatrixView& w, Activations& x, float* y, size_t ldy, bool accumulate);

// Outputs begin … end (begin a multiple of kTileRows) of tiles of bf16, which are panels in place, for a caller that
// cuts the work itself.
void MultiplyTiles(const MatrixView& w, const BF16Rows& x, size_t begin, size_t end, float* y, size_t ldy,
                   bool accumulate);

// Whether w is multiplied in parts: in exact mode, where Context::f32_in_parts says so.
bool MultipliesInParts(const Context& context, const MatrixView& w);
// Panels of weights in f32, each as its rounded values and what these leave, for MatrixView::in_parts: what products in
// parts would make of them every time. Only where HasBF16Tiles().
size_t PartsBytes(const MatrixView& w);
void DecodeParts(const MatrixView& w, uint16_t* panels);

// dx (count, w.cols) += dy (count, w.rows) W.
void ManyRowsBackward(Context& context, const MatrixView& w, const Rows& dy, float* dx, size_t ldx);

}  // namespace qad

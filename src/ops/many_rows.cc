#include "ops/many_rows.h"

#include <omp.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/panels_bf16.h"
#include "ops/matmul.h"

namespace qad {
namespace {

constexpr size_t kPanelRows = 512;                // outputs decoded at a time for the MatmulEngine
constexpr size_t kTaskRows = 2 * kTileRows;       // outputs of a task of our own kernel: two panels, which stay in L2
constexpr size_t kPartsTaskRows = 4 * kTileRows;  // of products in parts, whose activations come from farther

constexpr size_t kBackwardRows = 2048;  // inputs of a product with Wᵀ at a time

// bf16 copies of rows, contiguous (count, stride ≥ n), filled up with zeros.
const uint16_t* ToBF16(Context& context, const Rows& x, size_t n, size_t stride) {
  auto* out = reinterpret_cast<uint16_t*>(context.Scratch(Context::Slot::kActivations, (x.count * stride + 1) / 2));
#pragma omp parallel for schedule(static) if (Pays(x.count, n, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(x.count); ++row) {
    uint16_t* to = out + static_cast<size_t>(row) * stride;
    ConvertToBF16(x.data + static_cast<size_t>(row) * x.stride, to, n);
    std::fill(to + n, to + stride, uint16_t{0});
  }
  return out;
}

// Twice as many columns: bf16 copies, and what these leave, rounded in turn.
const uint16_t* SplitRows(Context& context, const Rows& x, size_t n, size_t stride) {
  auto* out = reinterpret_cast<uint16_t*>(context.Scratch(Context::Slot::kActivations, x.count * stride));
#pragma omp parallel for schedule(static) if (Pays(x.count, n, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(x.count); ++row) {
    uint16_t* high = out + static_cast<size_t>(row) * 2 * stride;
    uint16_t* low = high + stride;
    SplitToBF16(x.data + static_cast<size_t>(row) * x.stride, high, low, n);
    for (uint16_t* half : {high, low}) std::fill(half + n, half + stride, uint16_t{0});
  }
  return out;
}

// Weights in f32, (rows, cols), for the MatmulEngine.
struct Panel {
  const float* data;
  size_t stride;
};

Panel DecodePanel(Context& context, const MatrixView& w, size_t begin, size_t rows) {
  if (w.layout == Layout::kF32)
    return {reinterpret_cast<const float*>(w.codes + begin * w.stride_bytes), w.stride_bytes / sizeof(float)};
  float* panel = context.Scratch(Context::Slot::kPanel, rows * w.cols);
#pragma omp parallel for schedule(static) if (Pays(rows, w.cols, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(rows); ++row) {
    const size_t r = static_cast<size_t>(row);
    DecodeRow(w, begin + r, panel + r * w.cols);
  }
  return {panel, w.cols};
}

// Rows are taken whole where the weights can be used in place, else a panel at a time.
size_t PanelRows(const MatrixView& w) { return w.layout == Layout::kF32 ? w.rows : std::min(w.rows, kPanelRows); }

void MultiplyDense(Context& context, const MatrixView& w, const Rows& x, float* y, size_t ldy) {
  const size_t step = PanelRows(w);
  for (size_t begin = 0; begin < w.rows; begin += step) {
    const size_t rows = std::min(step, w.rows - begin);
    const Panel panel = DecodePanel(context, w, begin, rows);
    context.matmul().Run({.m = x.count,
                          .n = rows,
                          .k = w.cols,
                          .a = x.data,
                          .lda = x.stride,
                          .b = panel.data,
                          .ldb = panel.stride,
                          .c = y + begin,
                          .ldc = ldy});
  }
}

// A thread takes two panels at a time, decoded where they are not in place, and multiplies all rows with them.
void MultiplyInPanels(Context& context, const MatrixView& w, const BF16Product& activations) {
  const size_t values = PanelValues(w.cols);
  const size_t floats = w.layout == Layout::kBF16Tile ? 0 : values * (kTaskRows / kTileRows) / 2;
  float* scratch = context.Scratch(Context::Slot::kPanel, floats * RegionThreads());
  const auto tasks = static_cast<int64_t>((w.rows + kTaskRows - 1) / kTaskRows);
#pragma omp parallel for schedule(static) if (Pays(w.rows, w.cols, activations.count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t begin = static_cast<size_t>(task) * kTaskRows;
    auto* panels = reinterpret_cast<uint16_t*>(scratch + floats * static_cast<size_t>(omp_get_thread_num()));
    BF16Product product = activations;
    product.panels = DecodeBF16Panel(w, begin, panels);
    product.from_memory = product.panels != panels;
    product.outputs = std::min(kTaskRows, w.rows - begin);
    if (product.outputs > kTileRows) DecodeBF16Panel(w, begin + kTileRows, panels + values);
    if (w.layout == Layout::kInt8Row) product.scales = w.row_scales + begin;
    product.y = activations.y + begin;
    MultiplyPanels(product);
  }
}

// Panels of the rows begin … end, the first a multiple of kTileRows.
void DecodePanels(const MatrixView& w, size_t begin, size_t end, uint16_t* panels) {
  const size_t values = PanelValues(w.cols);
  for (size_t row = begin; row < end; row += kTileRows, panels += 2 * values) {
    DecodeBF16Panel(w, row, panels);
    DecodeBF16Rest(w, row, panels + values);
  }
}

// The same for weights in f32: x W ≈ x₁ W₁ + x₂ W₁ + x₁ W₂, each side's rounded values and what they leave. That of
// what both leave is below what the others are rounded by.
void MultiplyInParts(Context& context, const MatrixView& w, const BF16Product& activations) {
  const size_t floats = w.in_parts != nullptr ? 0 : PanelValues(w.cols) * (kPartsTaskRows / kTileRows);
  float* scratch = context.Scratch(Context::Slot::kPanel, floats * RegionThreads());
  const auto tasks = static_cast<int64_t>((w.rows + kPartsTaskRows - 1) / kPartsTaskRows);
#pragma omp parallel for schedule(static) if (Pays(w.rows, w.cols, 3 * activations.count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t begin = static_cast<size_t>(task) * kPartsTaskRows, end = std::min(w.rows, begin + kPartsTaskRows);
    BF16Product product = activations;
    if (w.in_parts != nullptr) {
      product.panels = w.in_parts + begin / kTileRows * 2 * PanelValues(w.cols);
    } else {
      auto* panels = reinterpret_cast<uint16_t*>(scratch + floats * static_cast<size_t>(omp_get_thread_num()));
      DecodePanels(w, begin, end, panels);
      product.panels = panels;
    }
    product.outputs = end - begin;
    product.y = activations.y + begin;
    MultiplyPanels(product);
  }
}

}  // namespace

bool RoundsToBF16(const Context& context, const MatrixView& w) {
  return context.own_bf16() && (w.layout != Layout::kF32 || context.f32_in_bf16);
}

bool MultipliesInParts(const Context& context, const MatrixView& w) {
  return context.numerics == Numerics::kExact && context.f32_in_parts && context.has_bf16 && w.layout == Layout::kF32 &&
         HasBF16Tiles();
}

size_t PartsBytes(const MatrixView& w) {
  return (w.rows + kTileRows - 1) / kTileRows * 2 * PanelValues(w.cols) * sizeof(uint16_t);
}

void DecodeParts(const MatrixView& w, uint16_t* panels) { DecodePanels(w, 0, w.rows, panels); }

bool UsesOwnPanels(const Context& context, const MatrixView& w) {
  return RoundsToBF16(context, w) || MultipliesInParts(context, w);
}

const uint16_t* Activations::bf16() {
  if (bf16_ == nullptr) bf16_ = ToBF16(context_, x_, cols_, bf16_stride());
  return bf16_;
}

const uint16_t* Activations::parts() {
  if (parts_ == nullptr) parts_ = SplitRows(context_, x_, cols_, bf16_stride());
  return parts_;
}

void ManyRows(Context& context, const MatrixView& w, Activations& x, float* y, size_t ldy, bool accumulate) {
  const Rows& rows = x.rows();
  BF16Product product{.x = nullptr,
                      .count = rows.count,
                      .ldx = x.bf16_stride(),
                      .words = InputPairs(w.cols),
                      .y = y,
                      .ldy = ldy,
                      .accumulate = accumulate};
  if (RoundsToBF16(context, w)) {
    product.x = x.bf16();
    return MultiplyInPanels(context, w, product);
  }
  if (MultipliesInParts(context, w)) {
    product.x = x.parts();
    product.ldx *= 2;
    product.in_parts = true;
    return MultiplyInParts(context, w, product);
  }
  QAD_CHECK(!accumulate);
  MultiplyDense(context, w, rows, y, ldy);
}

void MultiplyTiles(const MatrixView& w, const BF16Rows& x, size_t begin, size_t end, float* y, size_t ldy,
                   bool accumulate) {
  QAD_CHECK(w.layout == Layout::kBF16Tile);
  MultiplyPanels(BF16Product{.x = x.data,
                             .count = x.count,
                             .ldx = x.stride,
                             .words = InputPairs(w.cols),
                             .panels = DecodeBF16Panel(w, begin, nullptr),
                             .from_memory = true,
                             .outputs = end - begin,
                             .y = y + begin,
                             .ldy = ldy,
                             .accumulate = accumulate});
}

namespace {

// A thread decodes two panels of Wᵀ at a time, a stretch of its rows so long that they stay in L2, and multiplies all
// rows of gradients with them.
void MultiplyInColumnPanels(Context& context, const MatrixView& w, const Rows& dy, float* dx, size_t ldx) {
  const size_t stretch = std::min(w.rows, kBackwardRows), stride = 2 * InputPairs(w.rows);
  const size_t values = PanelValues(stretch), floats = values * (kTaskRows / kTileRows) / 2;
  const uint16_t* x = ToBF16(context, dy, w.rows, stride);
  float* scratch = context.Scratch(Context::Slot::kPanel, floats * RegionThreads());
  const auto tasks = static_cast<int64_t>((w.cols + kTaskRows - 1) / kTaskRows);
#pragma omp parallel for schedule(static) if (Pays(w.cols, w.rows, dy.count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t column = static_cast<size_t>(task) * kTaskRows;
    auto* panels = reinterpret_cast<uint16_t*>(scratch + floats * static_cast<size_t>(omp_get_thread_num()));
    for (size_t begin = 0; begin < w.rows; begin += stretch) {
      const size_t end = std::min(w.rows, begin + stretch);
      const BF16Product product{.x = x + begin,
                                .count = dy.count,
                                .ldx = stride,
                                .words = InputPairs(end - begin),
                                .panels = panels,
                                .outputs = std::min(kTaskRows, w.cols - column),
                                .y = dx + column,
                                .ldy = ldx,
                                .accumulate = true};
      for (size_t i = 0; i < product.outputs; i += kTileRows)
        DecodeBF16ColumnPanel(w, column + i, begin, end, panels + i / kTileRows * PanelValues(end - begin));
      MultiplyPanels(product);
    }
  }
}

// The same in parts: of one stretch of W's rows after the other, whose gradients are taken apart first.
void MultiplyColumnsInParts(Context& context, const MatrixView& w, const Rows& dy, float* dx, size_t ldx) {
  const size_t longest = std::min(w.rows, kBackwardRows);
  const size_t floats = PanelValues(longest) * (kPartsTaskRows / kTileRows);
  float* scratch = context.Scratch(Context::Slot::kPanel, floats * RegionThreads());
  const auto tasks = static_cast<int64_t>((w.cols + kPartsTaskRows - 1) / kPartsTaskRows);
  for (size_t begin = 0; begin < w.rows; begin += longest) {
    const size_t end = std::min(w.rows, begin + longest), stride = 2 * InputPairs(end - begin);
    const size_t values = PanelValues(end - begin);
    const uint16_t* x = SplitRows(context, {dy.data + begin, dy.count, dy.stride}, end - begin, stride);
#pragma omp parallel for schedule(static) if (Pays(w.cols, end - begin, 3 * dy.count))
    for (int64_t task = 0; task < tasks; ++task) {
      const size_t column = static_cast<size_t>(task) * kPartsTaskRows;
      auto* panels = reinterpret_cast<uint16_t*>(scratch + floats * static_cast<size_t>(omp_get_thread_num()));
      const BF16Product product{.x = x,
                                .count = dy.count,
                                .ldx = 2 * stride,
                                .words = InputPairs(end - begin),
                                .panels = panels,
                                .outputs = std::min(kPartsTaskRows, w.cols - column),
                                .y = dx + column,
                                .ldy = ldx,
                                .accumulate = true,
                                .in_parts = true};
      for (size_t i = 0; i < product.outputs; i += kTileRows, panels += 2 * values) {
        DecodeBF16ColumnPanel(w, column + i, begin, end, panels);
        DecodeBF16ColumnRest(w, column + i, begin, end, panels + values);
      }
      MultiplyPanels(product);
    }
  }
}

}  // namespace

void ManyRowsBackward(Context& context, const MatrixView& w, const Rows& dy, float* dx, size_t ldx) {
  if (RoundsToBF16(context, w)) return MultiplyInColumnPanels(context, w, dy, dx, ldx);
  if (MultipliesInParts(context, w)) return MultiplyColumnsInParts(context, w, dy, dx, ldx);
  // W as it lies is the (k, n) operand.
  const size_t step = PanelRows(w);
  for (size_t begin = 0; begin < w.rows; begin += step) {
    const size_t rows = std::min(step, w.rows - begin);
    const Panel panel = DecodePanel(context, w, begin, rows);
    context.matmul().Run({.m = dy.count,
                          .n = w.cols,
                          .k = rows,
                          .a = dy.data + begin,
                          .lda = dy.stride,
                          .b = panel.data,
                          .ldb = panel.stride,
                          .b_transposed = false,
                          .c = dx,
                          .ldc = ldx,
                          .accumulate = true});
  }
}

}  // namespace qad

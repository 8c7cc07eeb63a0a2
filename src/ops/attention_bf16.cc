#include <cmath>
#include <limits>

#include "kernels/elementwise.h"
#include "kernels/panels_bf16.h"
#include "ops/attention_tiles.h"

namespace qad {
namespace {

constexpr size_t kPiece = 256;  // positions of the context at a time: keys, values and scores of a piece stay in L2

size_t Lines(size_t floats) { return (floats + 15) / 16 * 16; }
size_t Panels(size_t outputs) { return (outputs + kTileRows - 1) / kTileRows; }

// (rows, …) buffers of one tile.
struct Buffers {
  float *out, *scores, *top, *sum;
  float *fine_q = nullptr, *fine_keys = nullptr;  // only for fine scores; else q and keys
  uint16_t *q = nullptr, *p, *keys = nullptr, *values;
  size_t ldq, floats;

  Buffers(float* base, const AttentionShape& shape) : ldq(2 * InputPairs(shape.head_dim)) {
    const size_t rows = kTilePositions * shape.group(), dim = shape.head_dim;
    size_t at = 0;
    const auto take = [&](size_t count) {
      float* taken = base == nullptr ? nullptr : base + at;
      at += Lines(count);
      return taken;
    };
    const auto halves = [&](size_t count) { return reinterpret_cast<uint16_t*>(take((count + 1) / 2)); };
    out = take(rows * dim);
    scores = take(rows * kPiece);
    top = take(rows);
    sum = take(rows);
    if (shape.fine_scores) {
      fine_q = take(rows * dim);
      fine_keys = take(Panels(kPiece) * kTileRows * dim);
    } else {
      q = halves(rows * ldq);
      keys = halves(Panels(kPiece) * PanelValues(dim));
    }
    p = halves(rows * kPiece);
    values = halves(Panels(dim) * PanelValues(kPiece));
    floats = at;
  }
};

void Round(const float* rows, size_t count, size_t n, size_t stride, uint16_t* out) {
  for (size_t r = 0; r < count; ++r) {
    ConvertToBF16(rows + r * n, out + r * stride, n);
    std::fill(out + r * stride + n, out + (r + 1) * stride, uint16_t{0});
  }
}

// Scores of all rows with a piece's keys.
void ScorePiece(const AttentionShape& shape, const MatrixView& keys, size_t rows, const Buffers& b) {
  const size_t dim = shape.head_dim;
  if (shape.fine_scores) {
    for (size_t i = 0; i < Panels(keys.rows); ++i)
      DecodeF32Panel(keys, i * kTileRows, b.fine_keys + i * kTileRows * dim);
    return MultiplyPanels(F32Product{.x = b.fine_q,
                                     .count = rows,
                                     .ldx = dim,
                                     .words = dim,
                                     .panels = b.fine_keys,
                                     .outputs = keys.rows,
                                     .y = b.scores,
                                     .ldy = kPiece});
  }
  for (size_t i = 0; i < Panels(keys.rows); ++i) DecodeBF16Panel(keys, i * kTileRows, b.keys + i * PanelValues(dim));
  MultiplyPanels(BF16Product{.x = b.q,
                             .count = rows,
                             .ldx = b.ldq,
                             .words = InputPairs(dim),
                             .panels = b.keys,
                             .outputs = keys.rows,
                             .y = b.scores,
                             .ldy = kPiece});
}

// A row's scores of a piece become powers of e, and what was summed before is scaled to the new top.
void AddPiece(float scale, size_t visible, size_t dim, size_t row, const Buffers& b) {
  float* scores = b.scores + row * kPiece;
  const float top = std::max(b.top[row], Largest(scores, visible) * scale);
  if (top > b.top[row]) {
    const float shrink = std::exp(b.top[row] - top);
    b.sum[row] *= shrink;
    for (size_t i = 0; i < dim; ++i) b.out[row * dim + i] *= shrink;
    b.top[row] = top;
  }
  b.sum[row] += ExpMinus(scores, scale, top, scores, visible);
}

}  // namespace

size_t AttentionTileBF16Floats(const AttentionShape& shape) { return Buffers(nullptr, shape).floats; }

void AttentionTileBF16(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task,
                       float* scratch) {
  const Buffers b(scratch, shape);
  const size_t dim = shape.head_dim, rows = task.Rows(shape), context = task.Context(item);
  if (shape.fine_scores) {
    Gather(shape, task, item.q, item.ldq, b.fine_q);
  } else {
    Gather(shape, task, item.q, item.ldq, b.out);
    Round(b.out, rows, dim, b.ldq, b.q);
  }
  std::fill_n(b.out, rows * dim, 0.0f);
  std::fill_n(b.top, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(b.sum, rows, 0.0f);
  for (size_t first = 0; first < context; first += kPiece) {
    // Zeros up to a whole tile of AMX, whose sums are taken in another order than those of what remains of one: a row
    // must not hang on where its tile ends.
    const size_t count = std::min(kPiece, context - first), pairs = Panels(InputPairs(count)) * kTileRows;
    ScorePiece(shape, AsMatrix(item.k, task.kv_head, first, count, dim), rows, b);
    for (size_t row = 0; row < rows; ++row) {
      const size_t visible = task.Visible(shape, item, row, first, count);
      if (visible > 0) AddPiece(shape.scale(), visible, dim, row, b);
      ConvertToBF16(b.scores + row * kPiece, b.p + row * kPiece, visible);
      std::fill(b.p + row * kPiece + visible, b.p + row * kPiece + 2 * pairs, uint16_t{0});
    }
    const MatrixView values = AsMatrix(item.v, task.kv_head, first, count, dim);
    for (size_t i = 0; i < Panels(dim); ++i) {
      uint16_t* panel = b.values + i * PanelValues(2 * pairs);
      DecodeBF16ColumnPanel(values, i * kTileRows, 0, count, panel);
      std::fill(panel + PanelValues(count), panel + PanelValues(2 * pairs), uint16_t{0});
    }
    MultiplyPanels(BF16Product{.x = b.p,
                               .count = rows,
                               .ldx = kPiece,
                               .words = pairs,
                               .panels = b.values,
                               .outputs = dim,
                               .y = b.out,
                               .ldy = dim,
                               .accumulate = true});
  }
  for (size_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < dim; ++i) b.out[row * dim + i] /= b.sum[row];
  Scatter(shape, task, b.out, item.out, item.ldo);
}

}  // namespace qad

#include <cmath>
#include <limits>

#include "kernels/elementwise.h"
#include "ops/attention_tiles.h"

namespace qad {
namespace {

// Softmax of a piece of the context with a top of its own: `out` are the values weighted by e^(score − top), not yet
// divided by the sum of these weights.
struct Piece {
  float *out, *top, *sum;  // (rows, dim), (rows), (rows)
  Piece(float* at, const AttentionShape& shape, size_t rows) {
    out = at;
    top = out + rows * shape.head_dim;
    sum = top + rows;
  }
};

void Finish(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task, const Piece& piece) {
  for (size_t row = 0; row < task.Rows(shape); ++row) {
    float* out = piece.out + row * shape.head_dim;
    for (size_t i = 0; i < shape.head_dim; ++i) out[i] /= piece.sum[row];
    if (item.log_sum_exp != nullptr) task.LogSumExp(shape, item, row) = piece.top[row] + std::log(piece.sum[row]);
  }
  Scatter(shape, task, piece.out, item.out, item.ldo);
}

}  // namespace

size_t AttentionFewRowsFloats(const AttentionShape& shape) {
  return kFewAttentionRows * (shape.head_dim + kFewAttentionPiece);
}
size_t AttentionPieceFloats(const AttentionShape& shape, size_t rows) { return rows * (shape.head_dim + 2); }

void AttentionFewRows(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task, float* scratch,
                      float* result) {
  const size_t dim = shape.head_dim, rows = task.Rows(shape), count = task.last - task.first;
  const Piece piece(result, shape, rows);
  float *q = scratch, *scores = q + kFewAttentionRows * dim;
  Gather(shape, task, item.q, item.ldq, q);
  DotRows(AsMatrix(item.k, task.kv_head, task.first, count, dim), 0, count, q, rows, dim, scores, kFewAttentionPiece);
  for (size_t row = 0; row < rows; ++row) {
    float* of_row = scores + row * kFewAttentionPiece;
    const size_t visible = task.Visible(shape, item, row, task.first, count);
    std::fill(of_row + visible, of_row + count, 0.0f);
    piece.top[row] = -std::numeric_limits<float>::infinity();
    piece.sum[row] = 0;
    if (visible == 0) continue;
    piece.top[row] = Largest(of_row, visible) * shape.scale();
    piece.sum[row] = ExpMinus(of_row, shape.scale(), piece.top[row], of_row, visible);
  }
  WeightedSums(AsMatrix(item.v, task.kv_head, task.first, count, dim), scores, rows, kFewAttentionPiece, piece.out,
               dim);
  if (!task.IsCut(item)) Finish(shape, item, task, piece);
}

void CombineAttentionPieces(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task,
                            float* results) {
  const size_t dim = shape.head_dim, rows = task.Rows(shape), pieces = task.Pieces(item);
  const auto piece = [&](size_t p) { return Piece(results + p * AttentionPieceFloats(shape, rows), shape, rows); };
  const Piece all = piece(0);
  for (size_t row = 0; row < rows; ++row) {
    float top = all.top[row];
    for (size_t p = 1; p < pieces; ++p) top = std::max(top, piece(p).top[row]);
    float sum = 0;
    for (size_t p = 0; p < pieces; ++p) {
      const float weight = std::exp(piece(p).top[row] - top);
      sum += piece(p).sum[row] * weight;
      if (p == 0)
        for (size_t i = 0; i < dim; ++i) all.out[row * dim + i] *= weight;
      else
        AddScaled(piece(p).out + row * dim, weight, all.out + row * dim, dim);
    }
    all.top[row] = top;
    all.sum[row] = sum;
  }
  Finish(shape, item, task, all);
}

}  // namespace qad

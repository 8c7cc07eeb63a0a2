// What the ways to compute a tile of attention have in common. For operations only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/matrix.h"
#include "ops/attention.h"

namespace qad {

inline constexpr size_t kTilePositions = 32;  // rows of a tile are positions × heads of the group

// Up to so many rows a tile is a few dot products (decoding): keys and values are read once, as they lie, a piece of
// the context to a task. Pieces are small enough that the few heads of one sequence keep all threads busy.
inline constexpr size_t kFewAttentionRows = 16, kFewAttentionPiece = 128;

struct AttentionTask {
  size_t item, kv_head, begin, end;  // query positions begin … end of the item
  size_t first, last;                // of the context: all of it, or a piece
  bool few = false;                  // whether it is dot products over a piece, else a tile
  size_t result = 0;                 // where a task of few rows leaves what it found, in floats
  size_t Rows(const AttentionShape& shape) const { return (end - begin) * shape.group(); }
  size_t Context(const AttentionItem& of) const { return of.start + (of.both_ways ? of.count : end); }
  bool IsCut(const AttentionItem& of) const { return last - first < Context(of); }
  // Of the positions from `from` on, `count` of them, how many a row of the tile may see.
  size_t Visible(const AttentionShape& shape, const AttentionItem& of, size_t row, size_t from, size_t count) const {
    if (of.both_ways) return count;
    const size_t seen = of.start + begin + row / shape.group() + 1;
    return std::min(count, seen - std::min(from, seen));
  }
  // A row's log-sum-exp; only where the item has them.
  float& LogSumExp(const AttentionShape& shape, const AttentionItem& of, size_t row) const {
    const size_t group = shape.group();
    return of.log_sum_exp[(kv_head * group + row % group) * of.count + begin + row / group];
  }
  size_t Pieces(const AttentionItem& of) const { return (Context(of) + kFewAttentionPiece - 1) / kFewAttentionPiece; }
};

// Gathers (position, head of group) rows of `from` into contiguous (rows, dim).
inline void Gather(const AttentionShape& shape, const AttentionTask& task, const float* from, size_t ld, float* rows) {
  const size_t group = shape.group(), dim = shape.head_dim;
  for (size_t t = task.begin; t < task.end; ++t)
    std::memcpy(rows + (t - task.begin) * group * dim, from + t * ld + task.kv_head * group * dim,
                group * dim * sizeof(float));
}

inline void Scatter(const AttentionShape& shape, const AttentionTask& task, const float* rows, float* to, size_t ld) {
  const size_t group = shape.group(), dim = shape.head_dim;
  for (size_t t = task.begin; t < task.end; ++t)
    std::memcpy(to + t * ld + task.kv_head * group * dim, rows + (t - task.begin) * group * dim,
                group * dim * sizeof(float));
}

// Keys or values of one head, `count` positions from `first` on, as rows of a matrix.
inline MatrixView AsMatrix(const KvView& view, size_t head, size_t first, size_t count, size_t dim) {
  return {.layout = view.layout,
          .rows = count,
          .cols = dim,
          .codes = view.data + head * view.head_stride + first * view.row_stride,
          .stride_bytes = view.row_stride};
}

// A tile of a few rows against a piece of the context, in f32. `result` has AttentionPieceFloats of the tile's rows;
// where the context is not cut the item's output is written, else by Combine from the results of all pieces, one after
// another.
void AttentionFewRows(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task, float* scratch,
                      float* result);
void CombineAttentionPieces(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task,
                            float* results);
size_t AttentionFewRowsFloats(const AttentionShape& shape);  // of scratch
size_t AttentionPieceFloats(const AttentionShape& shape, size_t rows);

// A tile with bf16 products (its scores f32, where they are to be fine) and f32 sums, a piece of the context at a time
// (Milakov and Gimelshein 2018; Dao et al. 2022): memory does not grow with the context. Only where HasBF16Dot().
// `scratch` is aligned to a cache line.
void AttentionTileBF16(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task,
                       float* scratch);
size_t AttentionTileBF16Floats(const AttentionShape& shape);

}  // namespace qad

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

struct AttentionTask {
  size_t item, kv_head, begin, end;  // query positions begin … end of the item
  size_t Rows(const AttentionShape& shape) const { return (end - begin) * shape.group(); }
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
  const size_t element = view.f16 ? sizeof(uint16_t) : sizeof(float);
  return {
      .layout = view.f16 ? Layout::kF16 : Layout::kF32,
      .rows = count,
      .cols = dim,
      .codes = static_cast<const std::byte*>(view.data) + (head * view.head_stride + first * view.row_stride) * element,
      .stride_bytes = view.row_stride * element};
}

// A tile with bf16 products and f32 sums, a piece of the context at a time (Milakov and Gimelshein 2018; Dao et al.
// 2022): memory does not grow with the context. Only where HasBF16Dot(). `scratch` is aligned to a cache line.
void AttentionTileBF16(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task,
                       float* scratch);
size_t AttentionTileBF16Floats(const AttentionShape& shape);

}  // namespace qad

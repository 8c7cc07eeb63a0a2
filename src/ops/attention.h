// Scaled dot-product attention (Vaswani et al. 2017, eq. 1) with grouped queries (Ainslie et al. 2023), causal unless
// it is an encoder's, a tile of queries at a time: the full score matrix never exists. Backward recomputes the tile
// from its log-sum-exp (Dao et al. 2022).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/matrix.h"
#include "ops/context.h"

namespace qad {

struct AttentionShape {
  size_t heads = 0, kv_heads = 0, head_dim = 0;
  // Where tiles are multiplied in bf16, scores are f32 all the same: a score is an exponent, and its
  // rounding error grows with its size.
  bool fine_scores = false;
  size_t group() const { return heads / kv_heads; }
  float scale() const;  // 1/sqrt(head_dim)
};

// Keys or values of one sequence: (head, position) is a row of head_dim values, head·head_stride + position·row_stride
// bytes from `data` on, in a layout of whole rows.
struct KvView {
  const std::byte* data = nullptr;
  Layout layout = Layout::kF32;
  size_t head_stride = 0, row_stride = 0;  // bytes

  // f32 rows of (kv_heads, head_dim), `ld` floats apart.
  static KvView Packed(const float* rows, size_t head_dim, size_t ld) {
    return {reinterpret_cast<const std::byte*>(rows), Layout::kF32, head_dim * sizeof(float), ld * sizeof(float)};
  }
};

// `count` new positions start … start+count of one sequence; position p sees keys 0 … p, or all of them.
// Queries and outputs are (count, heads·head_dim) with row strides.
struct AttentionItem {
  const float* q = nullptr;
  size_t ldq = 0, count = 0, start = 0;
  KvView k, v;
  float* out = nullptr;
  size_t ldo = 0;
  float* log_sum_exp = nullptr;  // (heads, count), for backward; may be null
  // In training: which earlier item of the same call, itself without a prefix, has the positions before `start`. k and
  // v then begin with position `start`.
  static constexpr size_t kNoPrefix = ~size_t{0};
  size_t prefix = kNoPrefix;
  bool both_ways = false;  // as encoders do: position p sees keys 0 … start+count. Forward alone
};

void AttentionForward(Context& context, const AttentionShape& shape, std::span<const AttentionItem> items);

// Gradients of one item with f32 keys, either whole (start = 0) or behind a prefix, whose dk and dv then hold its share
// too. dq, dk, dv are overwritten.
struct AttentionGradients {
  const float* d_out = nullptr;  // (count, heads·head_dim)
  size_t ld_out = 0;
  float* dq = nullptr;  // (count, heads·head_dim)
  float* dk = nullptr;  // (count, kv_heads·head_dim)
  float* dv = nullptr;
  size_t ld_gradient = 0;
};
void AttentionBackward(Context& context, const AttentionShape& shape, std::span<const AttentionItem> items,
                       std::span<const AttentionGradients> gradients);

}  // namespace qad

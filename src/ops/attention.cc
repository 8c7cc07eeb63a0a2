#include "ops/attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "ops/attention_tiles.h"
#include "ops/gemm.h"
#include "ops/parallel.h"

namespace qad {
namespace {

constexpr size_t kMinAttentionWork = 1 << 16;  // multiplications below which a parallel region costs more than it saves

// All tasks, the floats that those of few rows leave behind, whether the context of one is cut, and the longest context
// of those that are tiles of many rows.
struct Cut {
  std::vector<AttentionTask> tasks;
  size_t results = 0, longest_of_tiles = 0;
  bool cut = false;
};

// `tiles`: however few rows there are.
Cut CutIntoTasks(const AttentionShape& shape, std::span<const AttentionItem> items, bool tiles) {
  Cut all;
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t begin = 0; begin < items[i].count; begin += kTilePositions)
      for (size_t head = 0; head < shape.kv_heads; ++head) {
        AttentionTask task{.item = i,
                           .kv_head = head,
                           .begin = begin,
                           .end = std::min(items[i].count, begin + kTilePositions),
                           .first = 0,
                           .last = 0};
        const size_t context = task.Context(items[i]);
        task.few = !tiles && task.Rows(shape) <= kFewAttentionRows && items[i].prefix == AttentionItem::kNoPrefix;
        const size_t piece = task.few ? kFewAttentionPiece : context;
        if (!task.few) all.longest_of_tiles = std::max(all.longest_of_tiles, context);
        for (; task.first < context; task.first += piece) {
          task.last = std::min(context, task.first + piece);
          task.result = all.results;
          if (task.few) all.results += AttentionPieceFloats(shape, task.Rows(shape));
          all.tasks.push_back(task);
        }
        all.cut = all.cut || piece < context;
      }
  return all;
}

// Multiplications of all items, for the choice between serial and parallel. A region that runs serially calls BLAS for
// products so small that it stays on its thread, too.
size_t WorkOf(const AttentionShape& shape, std::span<const AttentionItem> items) {
  size_t work = 0;
  for (const AttentionItem& item : items)
    work += item.count * (item.start + item.count) * shape.heads * std::max(shape.head_dim, size_t{8});
  return work;
}

size_t LongestContext(std::span<const AttentionItem> items) {
  size_t longest = 0;
  for (const AttentionItem& item : items) longest = std::max(longest, item.start + item.count);
  return longest;
}

using Items = std::span<const AttentionItem>;

// Keys (or values) of one head as f32 with their row stride: in place, or converted into `scratch`, or copied there
// behind those of the prefix.
std::pair<const float*, size_t> AsFloats(Items items, const AttentionItem& item, KvView AttentionItem::*which,
                                         size_t head, size_t positions, size_t dim, float* scratch) {
  const bool continues = item.prefix != AttentionItem::kNoPrefix;
  const MatrixView rows = AsMatrix(item.*which, head, 0, positions, dim);
  if (rows.layout == Layout::kF32 && !continues)
    return {reinterpret_cast<const float*>(rows.codes), rows.stride_bytes / sizeof(float)};
  const size_t before = continues ? item.start : 0;
  if (continues) {
    const MatrixView first = AsMatrix(items[item.prefix].*which, head, 0, before, dim);
    for (size_t p = 0; p < before; ++p) DecodeRow(first, p, scratch + p * dim);
  }
  for (size_t p = before; p < positions; ++p) DecodeRow(rows, p - before, scratch + p * dim);
  return {scratch, dim};
}

// Of a tile in f32, with room for keys and values that have to be converted.
struct TileBuffers {
  float *q, *out, *scores, *keys, *values;
  static size_t Floats(const AttentionShape& shape, size_t context) {
    const size_t rows = kTilePositions * shape.group();
    return 2 * rows * shape.head_dim + rows * context + 2 * context * shape.head_dim;
  }
  TileBuffers(float* base, const AttentionShape& shape, size_t context) {
    const size_t rows = kTilePositions * shape.group();
    q = base;
    out = q + rows * shape.head_dim;
    scores = out + rows * shape.head_dim;
    keys = scores + rows * context;
    values = keys + context * shape.head_dim;
  }
};

void SoftmaxRow(const AttentionShape& shape, const AttentionItem& item, const AttentionTask& task, size_t row,
                float* scores) {
  const size_t context = task.Context(item), visible = task.Visible(shape, item, row, 0, context);
  const float lse = Softmax(scores, shape.scale(), scores, visible);
  std::fill(scores + visible, scores + context, 0.0f);
  if (item.log_sum_exp != nullptr) task.LogSumExp(shape, item, row) = lse;
}

void ForwardTile(const AttentionShape& shape, Items items, const AttentionTask& task, const TileBuffers& tile) {
  const AttentionItem& item = items[task.item];
  const size_t dim = shape.head_dim, rows = task.Rows(shape);
  const size_t context = task.Context(item);
  const auto [keys, ldk] = AsFloats(items, item, &AttentionItem::k, task.kv_head, context, dim, tile.keys);
  const auto [values, ldv] = AsFloats(items, item, &AttentionItem::v, task.kv_head, context, dim, tile.values);
  Gather(shape, task, item.q, item.ldq, tile.q);
  Gemm(false, true, rows, context, dim, 1, tile.q, dim, keys, ldk, 0, tile.scores, context);
  for (size_t row = 0; row < rows; ++row) SoftmaxRow(shape, item, task, row, tile.scores + row * context);
  Gemm(false, false, rows, dim, context, 1, tile.scores, context, values, ldv, 0, tile.out, dim);
  Scatter(shape, task, tile.out, item.out, item.ldo);
}

}  // namespace

float AttentionShape::scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

void AttentionForward(Context& context, const AttentionShape& shape, std::span<const AttentionItem> items) {
  const ScopedTimer timer(context, Timed::kAttention);
  // What backward will read must be of the same products as its own.
  const bool bf16 = context.own_bf16() && std::ranges::all_of(items, [](const AttentionItem& item) {
                      return item.log_sum_exp == nullptr && item.prefix == AttentionItem::kNoPrefix;
                    });
  // Rounded to bf16, a prompt's last rows would show how many of them are left for its last tile.
  const Cut all = CutIntoTasks(shape, items, bf16 && context.rows == RowsAre::kOfPrompts);
  const size_t longest = all.longest_of_tiles;
  const size_t of_tile = longest == 0 ? 0 : bf16 ? AttentionTileBF16Floats(shape) : TileBuffers::Floats(shape, longest);
  // A thread's buffers, whole cache lines of them, and behind those of all threads what tasks of few rows leave behind.
  const size_t floats = (std::max(all.results > 0 ? AttentionFewRowsFloats(shape) : 0, of_tile) + 15) / 16 * 16;
  const size_t of_threads = floats * RegionThreads();
  float* scratch = context.Scratch(Context::Slot::kResults, of_threads + all.results);
  float* results = scratch + of_threads;
  const auto count = static_cast<int64_t>(all.tasks.size());
#pragma omp parallel if (WorkOf(shape, items) >= kMinAttentionWork)
  {
    float* mine = scratch + floats * static_cast<size_t>(omp_get_thread_num());
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < count; ++i) {
      const AttentionTask& task = all.tasks[static_cast<size_t>(i)];
      const AttentionItem& item = items[task.item];
      if (task.few)
        AttentionFewRows(shape, item, task, mine, results + task.result);
      else if (bf16)
        AttentionTileBF16(shape, item, task, mine);
      else
        ForwardTile(shape, items, task, TileBuffers(mine, shape, longest));
    }
    if (all.cut) {
#pragma omp for schedule(static)
      for (int64_t i = 0; i < count; ++i) {
        const AttentionTask& task = all.tasks[static_cast<size_t>(i)];
        if (task.first == 0 && task.IsCut(items[task.item]))
          CombineAttentionPieces(shape, items[task.item], task, results + task.result);
      }
    }
  }
}

namespace {

struct BackwardBuffers {
  float *q, *d_out, *dq, *p, *ds, *keys, *values;
  static size_t Floats(const AttentionShape& shape, size_t context) {
    const size_t rows = kTilePositions * shape.group();
    return 3 * rows * shape.head_dim + 2 * rows * context + 2 * context * shape.head_dim;
  }
  BackwardBuffers(float* base, const AttentionShape& shape, size_t context) {
    const size_t rows = kTilePositions * shape.group();
    q = base;
    d_out = q + rows * shape.head_dim;
    dq = d_out + rows * shape.head_dim;
    p = dq + rows * shape.head_dim;
    ds = p + rows * context;
    keys = ds + rows * context;
    values = keys + context * shape.head_dim;
  }
};

// P from its log-sum-exp, dP = dO Vᵀ, dS = P ∘ (dP − rowsum(dO ∘ O)); dQ = s·dS K, dK += s·dSᵀ Q, dV += Pᵀ dO.
void BackwardTile(const AttentionShape& shape, Items items, std::span<const AttentionGradients> gradients,
                  const AttentionTask& task, const BackwardBuffers& tile) {
  const AttentionItem& item = items[task.item];
  const AttentionGradients& g = gradients[task.item];
  const size_t dim = shape.head_dim, group = shape.group();
  const size_t rows = task.Rows(shape), context = task.Context(item);
  const auto [keys, ldk] = AsFloats(items, item, &AttentionItem::k, task.kv_head, context, dim, tile.keys);
  const auto [values, ldv] = AsFloats(items, item, &AttentionItem::v, task.kv_head, context, dim, tile.values);
  Gather(shape, task, item.q, item.ldq, tile.q);
  Gather(shape, task, g.d_out, g.ld_out, tile.d_out);
  Gemm(false, true, rows, context, dim, 1, tile.q, dim, keys, ldk, 0, tile.p, context);
  Gemm(false, true, rows, context, dim, 1, tile.d_out, dim, values, ldv, 0, tile.ds, context);
  for (size_t row = 0; row < rows; ++row) {
    const size_t position = task.begin + row / group, visible = task.Visible(shape, item, row, 0, context);
    const size_t head = task.kv_head * group + row % group;
    float* p = tile.p + row * context;
    float* ds = tile.ds + row * context;
    ExpMinus(p, shape.scale(), task.LogSumExp(shape, item, row), p, visible);
    const float delta = Dot(tile.d_out + row * dim, item.out + position * item.ldo + head * dim, dim);
    for (size_t k = 0; k < visible; ++k) ds[k] = p[k] * (ds[k] - delta);
    std::fill(p + visible, p + context, 0.0f);
    std::fill(ds + visible, ds + context, 0.0f);
  }
  Gemm(false, false, rows, dim, context, shape.scale(), tile.ds, context, keys, ldk, 0, tile.dq, dim);
  Scatter(shape, task, tile.dq, g.dq, g.ld_gradient);
  const auto add = [&](const AttentionGradients& to, size_t first, size_t count) {
    const size_t head = task.kv_head * dim;
    Gemm(true, false, count, dim, rows, shape.scale(), tile.ds + first, context, tile.q, dim, 1, to.dk + head,
         to.ld_gradient);
    Gemm(true, false, count, dim, rows, 1, tile.p + first, context, tile.d_out, dim, 1, to.dv + head, to.ld_gradient);
  };
  if (item.start > 0) add(gradients[item.prefix], 0, item.start);
  add(g, item.start, context - item.start);
}

void BackwardItem(const AttentionShape& shape, Items items, std::span<const AttentionGradients> gradients, size_t index,
                  size_t head, const BackwardBuffers& tile) {
  const AttentionItem& item = items[index];
  const AttentionGradients& g = gradients[index];
  for (size_t t = 0; t < item.count; ++t) {
    std::fill_n(g.dk + t * g.ld_gradient + head * shape.head_dim, shape.head_dim, 0.0f);
    std::fill_n(g.dv + t * g.ld_gradient + head * shape.head_dim, shape.head_dim, 0.0f);
  }
  for (size_t begin = 0; begin < item.count; begin += kTilePositions) {
    const size_t end = std::min(item.count, begin + kTilePositions);
    BackwardTile(shape, items, gradients, {index, head, begin, end, 0, item.start + end}, tile);
  }
}

}  // namespace

void AttentionBackward(Context& context, const AttentionShape& shape, std::span<const AttentionItem> items,
                       std::span<const AttentionGradients> gradients) {
  const ScopedTimer timer(context, Timed::kAttention);
  QAD_CHECK(items.size() == gradients.size());
  // Items that add to the same dk and dv, one after another: the first of each family, and those it is the prefix of.
  std::vector<std::vector<size_t>> families;
  std::vector<size_t> family_of(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const AttentionItem& x = items[i];
    QAD_CHECK(!x.both_ways && x.k.layout == Layout::kF32 && x.v.layout == Layout::kF32 && x.log_sum_exp != nullptr);
    const bool continues = x.prefix != AttentionItem::kNoPrefix;
    QAD_CHECK(continues ? x.prefix < i && items[x.prefix].start == 0 && x.start == items[x.prefix].count
                        : x.start == 0);
    family_of[i] = continues ? family_of[x.prefix] : families.size();
    if (!continues) families.emplace_back();
    families[family_of[i]].push_back(i);
  }
  const size_t longest = LongestContext(items);
  const size_t floats = BackwardBuffers::Floats(shape, longest);
  float* scratch = context.Scratch(Context::Slot::kResults, floats * RegionThreads());
  // One task per family and kv head: sums do not depend on threads.
  const auto tasks = static_cast<int64_t>(families.size() * shape.kv_heads);
#pragma omp parallel for schedule(dynamic) if (WorkOf(shape, items) >= kMinAttentionWork)
  for (int64_t i = 0; i < tasks; ++i) {
    const size_t family = static_cast<size_t>(i) / shape.kv_heads, head = static_cast<size_t>(i) % shape.kv_heads;
    const BackwardBuffers tile(scratch + floats * static_cast<size_t>(omp_get_thread_num()), shape, longest);
    for (const size_t item : families[family]) BackwardItem(shape, items, gradients, item, head, tile);
  }
}

}  // namespace qad

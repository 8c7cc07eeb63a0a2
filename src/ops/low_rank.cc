#include "ops/low_rank.h"

#include <omp.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/dropout.h"
#include "ops/gemm.h"
#include "ops/parallel.h"

namespace qad {
namespace {

constexpr size_t kRows = 64;      // rows of a task that goes through all adapters
constexpr size_t kColumns = 128;  // inputs or outputs of a task that sums over all rows

// Whether a region is opened for m rows, and be it for a single task: outside of one OpenBLAS would use threads of its
// own for products of more than 2^18 multiplications, and sums would depend on their number.
bool InRegion(const Linear& linear, size_t m) {
  constexpr size_t kSerialRows = 8, kSerialWork = 1 << 17;
  return m > kSerialRows || std::ranges::any_of(linear.adapters, [&](const LowRank& adapter) {
           return m * adapter.rank * std::max(linear.in, adapter.outputs) > kSerialWork;
         });
}

size_t Tasks(size_t n, size_t step) { return (n + step - 1) / step; }

// The part (rows, columns) of an adapter's input x (m, in) that begins at (row, column), dropped: element (row, i)
// draws number row·in + i.
void Drop(const DropoutMask& mask, const float* x, size_t ldx, size_t in, size_t row, size_t column, size_t rows,
          size_t columns, float* out) {
  for (size_t r = row; r < row + rows; ++r, out += columns)
    ApplyDropout(mask, r * in + column, x + r * ldx + column, out, columns);
}

// `floats` for each thread.
struct ThreadScratch {
  float* base;
  size_t floats;
  ThreadScratch(Context& context, size_t each)
      : base(context.Scratch(Context::Slot::kActivations, each * RegionThreads())), floats(each) {}
  float* mine() const { return base + floats * static_cast<size_t>(omp_get_thread_num()); }
};

}  // namespace

void LowRankForward(Context& context, const Linear& linear, const float* x, size_t m, size_t ldx, float* y, size_t ldy,
                    const Dropout& dropout, float* tape) {
  if (linear.adapters.empty()) return;
  const ScopedTimer timer(context, Timed::kAdapter);
  if (tape == nullptr) tape = context.Scratch(Context::Slot::kAdapter, LowRankTapeFloats(linear, m));
  const DropoutMask mask(dropout.p, dropout.seed, dropout.stream);
  const ThreadScratch scratch(context, mask.active() ? std::min(m, kRows) * linear.in : 0);
  const auto tasks = static_cast<int64_t>(Tasks(m, kRows));
#pragma omp parallel for schedule(static) if (InRegion(linear, m))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t row = static_cast<size_t>(task) * kRows, rows = std::min(kRows, m - row);
    const float* input = x + row * ldx;
    size_t ld = ldx;
    if (mask.active()) {
      float* dropped = scratch.mine();
      Drop(mask, x, ldx, linear.in, row, 0, rows, linear.in, dropped);
      input = dropped;
      ld = linear.in;
    }
    float* z = tape;
    for (const LowRank& adapter : linear.adapters) {
      const size_t r = adapter.rank;
      Gemm(false, true, rows, r, linear.in, 1, input, ld, adapter.a, linear.in, 0, z + row * r, r);
      Gemm(false, true, rows, adapter.outputs, r, adapter.scale, z + row * r, r, adapter.b, r, 1,
           y + row * ldy + adapter.first, ldy);
      z += m * r;
    }
  }
}

namespace {

// dz = s · dy B and dx̃ += dz A, a block of rows at a time; dz of every adapter lies as the tape does.
void InputGradients(const Linear& linear, const float* dy, size_t m, size_t ldy, float* dz, float* dx, size_t ldx,
                    const DropoutMask& mask, const ThreadScratch& scratch) {
  const auto tasks = static_cast<int64_t>(Tasks(m, kRows));
#pragma omp parallel for schedule(static) if (InRegion(linear, m))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t row = static_cast<size_t>(task) * kRows, rows = std::min(kRows, m - row);
    float* through = mask.active() ? scratch.mine() : nullptr;  // gradient of the dropped input
    if (through != nullptr) std::fill_n(through, rows * linear.in, 0.0f);
    float* z = dz;
    for (const LowRank& adapter : linear.adapters) {
      const size_t r = adapter.rank;
      Gemm(false, false, rows, r, adapter.outputs, adapter.scale, dy + row * ldy + adapter.first, ldy, adapter.b, r, 0,
           z + row * r, r);
      if (through != nullptr)
        Gemm(false, false, rows, linear.in, r, 1, z + row * r, r, adapter.a, linear.in, 1, through, linear.in);
      else
        Gemm(false, false, rows, linear.in, r, 1, z + row * r, r, adapter.a, linear.in, 1, dx + row * ldx, ldx);
      z += m * r;
    }
    for (size_t k = 0; through != nullptr && k < rows; ++k)
      AddThroughDropout(mask, (row + k) * linear.in, through + k * linear.in, dx + (row + k) * ldx, linear.in);
  }
}

// A slice of columns of dA of all adapters (adapter = kAllInputs), or of rows of dB of one.
struct Slice {
  size_t adapter, begin, count;
};
constexpr size_t kAllInputs = static_cast<size_t>(-1);

std::vector<Slice> SlicesOf(const Linear& linear) {
  std::vector<Slice> slices;
  for (size_t i = 0; i < linear.in; i += kColumns) slices.push_back({kAllInputs, i, std::min(kColumns, linear.in - i)});
  for (size_t a = 0; a < linear.adapters.size(); ++a) {
    const size_t outputs = linear.adapters[a].outputs;
    for (size_t o = 0; o < outputs; o += kColumns) slices.push_back({a, o, std::min(kColumns, outputs - o)});
  }
  return slices;
}

// dA += dzᵀ x̃ and dB += s · dyᵀ z, each task summing over all rows.
void MatrixGradients(const Linear& linear, const float* x, size_t ldx, const float* tape, const float* dz,
                     const float* dy, size_t m, size_t ldy, const DropoutMask& mask, const ThreadScratch& scratch) {
  const std::vector<Slice> slices = SlicesOf(linear);
  std::vector<size_t> places;  // where an adapter's share of the tape begins
  size_t place = 0;
  for (const LowRank& adapter : linear.adapters) places.push_back(std::exchange(place, place + m * adapter.rank));
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < static_cast<int64_t>(slices.size()); ++task) {
    const Slice& slice = slices[static_cast<size_t>(task)];
    if (slice.adapter != kAllInputs) {
      const LowRank& adapter = linear.adapters[slice.adapter];
      const size_t r = adapter.rank;
      if (adapter.b_gradient == nullptr) continue;
      Gemm(true, false, slice.count, r, m, adapter.scale, dy + adapter.first + slice.begin, ldy,
           tape + places[slice.adapter], r, 1, adapter.b_gradient + slice.begin * r, r);
      continue;
    }
    // A block of rows at a time, which stays in the cache.
    for (size_t row = 0; row < m; row += kRows) {
      const size_t rows = std::min(kRows, m - row);
      const float* input = x + row * ldx + slice.begin;
      size_t ld = ldx;
      if (mask.active()) {
        float* dropped = scratch.mine();
        Drop(mask, x, ldx, linear.in, row, slice.begin, rows, slice.count, dropped);
        input = dropped;
        ld = slice.count;
      }
      for (size_t a = 0; a < linear.adapters.size(); ++a) {
        const LowRank& adapter = linear.adapters[a];
        if (adapter.a_gradient == nullptr) continue;
        Gemm(true, false, adapter.rank, slice.count, rows, 1, dz + places[a] + row * adapter.rank, adapter.rank, input,
             ld, 1, adapter.a_gradient + slice.begin, linear.in);
      }
    }
  }
}

}  // namespace

// z = x̃ Aᵀ, y += s·z Bᵀ  ⇒  dB += s·dyᵀ z, dz = s·dy B, dA += dzᵀ x̃, dx̃ += dz A.
void LowRankBackward(Context& context, const Linear& linear, const float* x, size_t ldx, const float* tape,
                     const float* dy, size_t m, size_t ldy, float* dx, size_t ldx_gradient, const Dropout& dropout) {
  if (linear.adapters.empty()) return;
  const ScopedTimer timer(context, Timed::kAdapter);
  const DropoutMask mask(dropout.p, dropout.seed, dropout.stream);
  const size_t each = mask.active() ? std::min(m, kRows) * linear.in : 0;
  const ThreadScratch scratch(context, each);
  float* dz = context.Scratch(Context::Slot::kAdapter, LowRankTapeFloats(linear, m));
  InputGradients(linear, dy, m, ldy, dz, dx, ldx_gradient, mask, scratch);
  MatrixGradients(linear, x, ldx, tape, dz, dy, m, ldy, mask, scratch);
}

}  // namespace qad

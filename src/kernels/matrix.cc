#include "kernels/matrix.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/row_scratch.h"
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matrix.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

// kM activation rows against one weight row: the weights are loaded once.
template <class From, size_t kM>
HWY_INLINE void DotRow(const std::byte* w, size_t n, const float* x, size_t ldx, float* y, size_t ldy) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  hn::Vec<Wide> sum[kM], sum2[kM];
  for (size_t m = 0; m < kM; ++m) sum[m] = sum2[m] = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    const auto a = From::Load(d, w, i);
    const auto b = From::Load(d, w, i + step);
    for (size_t m = 0; m < kM; ++m) {
      sum[m] = hn::MulAdd(a, hn::LoadU(d, x + m * ldx + i), sum[m]);
      sum2[m] = hn::MulAdd(b, hn::LoadU(d, x + m * ldx + i + step), sum2[m]);
    }
  }
  for (; i + step <= n; i += step)
    for (size_t m = 0; m < kM; ++m) sum[m] = hn::MulAdd(From::Load(d, w, i), hn::LoadU(d, x + m * ldx + i), sum[m]);
  for (size_t m = 0; m < kM; ++m) {
    float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum[m], sum2[m])));
    for (size_t k = i; k < n; ++k) total += From::Scalar(w, k) * x[m * ldx + k];
    y[m * ldy] = total;
  }
}

template <class From>
HWY_INLINE void DotWhole(const std::byte* w, size_t n, const float* x, size_t count, size_t ldx, float* y, size_t ldy) {
  size_t m = 0;
  for (; m + 4 <= count; m += 4) DotRow<From, 4>(w, n, x + m * ldx, ldx, y + m * ldy, ldy);
  for (; m + 3 <= count; m += 3) DotRow<From, 3>(w, n, x + m * ldx, ldx, y + m * ldy, ldy);  // three queries to a key
  for (; m < count; ++m) DotRow<From, 1>(w, n, x + m * ldx, ldx, y + m * ldy, ldy);
}

// Rows shorter than a vector (tiny models): as many rows as there are lanes, one input after another.
void DotNarrow(const MatrixView& w, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
               size_t ldy) {
  const Wide d;
  const hn::RebindToSigned<Wide> i32;
  const size_t step = hn::Lanes(d), stride = w.stride_bytes / sizeof(float);
  const auto* weights = reinterpret_cast<const float*>(w.codes);
  const auto index = hn::Mul(hn::Iota(i32, 0), hn::Set(i32, static_cast<int32_t>(stride)));
  size_t r = begin;
  if (w.cols == 2 && stride == 2)  // gathering takes several times as long as two loads and their shuffles
    for (; r + step <= end; r += step) {
      hn::Vec<Wide> first, second;
      hn::LoadInterleaved2(d, weights + r * stride, first, second);
      for (size_t m = 0; m < count; ++m) {
        const auto sum = hn::Mul(first, hn::Set(d, x[m * ldx]));
        hn::StoreU(hn::MulAdd(second, hn::Set(d, x[m * ldx + 1]), sum), d, y + m * ldy + r);
      }
    }
  for (; r + step <= end; r += step)
    for (size_t m = 0; m < count; ++m) {
      auto sum = hn::Zero(d);
      for (size_t k = 0; k < w.cols; ++k)
        sum = hn::MulAdd(hn::GatherIndex(d, weights + r * stride + k, index), hn::Set(d, x[m * ldx + k]), sum);
      hn::StoreU(sum, d, y + m * ldy + r);
    }
  for (; r < end; ++r)
    for (size_t m = 0; m < count; ++m) {
      float sum = 0;
      for (size_t k = 0; k < w.cols; ++k) sum += weights[r * stride + k] * x[m * ldx + k];
      y[m * ldy + r] = sum;
    }
}

// The 16 rows of a tile of bf16 from `row` on against kM rows of activations: y is (kM, kTileRows).
template <size_t kM>
HWY_INLINE void DotPairs(const MatrixView& w, size_t row, const float* x, size_t ldx, float* y) {
  const Wide d;
  const hn::RebindToUnsigned<Wide> u32;
  constexpr size_t kLanes = hn::MaxLanes(Wide()), kVectors = kTileRows / kLanes;
  hn::Vec<Wide> even[kM][kVectors], odd[kM][kVectors];  // of the columns
  for (size_t m = 0; m < kM; ++m)
    for (size_t v = 0; v < kVectors; ++v) even[m][v] = odd[m][v] = hn::Zero(d);
  const auto* words = reinterpret_cast<const uint32_t*>(PairAt(w, row, 0));
  for (size_t i = 0; i < w.cols; i += 2, words += kTileRows)
    for (size_t v = 0; v < kVectors; ++v) {
      const auto both = hn::LoadU(u32, words + v * kLanes);
      const auto first = hn::BitCast(d, hn::ShiftLeft<16>(both));
      const auto second = hn::BitCast(d, hn::And(both, hn::Set(u32, 0xffff0000u)));
      for (size_t m = 0; m < kM; ++m) {
        even[m][v] = hn::MulAdd(first, hn::Set(d, x[m * ldx + i]), even[m][v]);
        if (i + 1 < w.cols) odd[m][v] = hn::MulAdd(second, hn::Set(d, x[m * ldx + i + 1]), odd[m][v]);
      }
    }
  for (size_t m = 0; m < kM; ++m)
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(hn::Add(even[m][v], odd[m][v]), d, y + m * kTileRows + v * kLanes);
}

void DotBF16Tiles(const MatrixView& w, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
                  size_t ldy) {
  constexpr size_t kAtOnce = 4;
  for (size_t row = begin / kTileRows * kTileRows; row < end; row += kTileRows) {
    const size_t from = std::max(row, begin), to = std::min(row + kTileRows, end);
    for (size_t m = 0; m < count;) {
      const size_t rows = count - m >= kAtOnce ? kAtOnce : 1;
      HWY_ALIGN float all[kAtOnce * kTileRows];
      if (rows == kAtOnce)
        DotPairs<kAtOnce>(w, row, x + m * ldx, ldx, all);
      else
        DotPairs<1>(w, row, x + m * ldx, ldx, all);
      for (size_t k = 0; k < rows; ++k, ++m)
        std::copy(all + k * kTileRows + (from - row), all + k * kTileRows + (to - row), y + m * ldy + from);
    }
  }
}

void DotRows(const MatrixView& w, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* scratch,
             float* y, size_t ldy) {
  if (w.layout == Layout::kBF16Tile) return DotBF16Tiles(w, begin, end, x, count, ldx, y, ldy);
  if (w.layout == Layout::kF32 && w.cols < hn::Lanes(Wide())) return DotNarrow(w, begin, end, x, count, ldx, y, ldy);
  const bool whole = WithRows(w.layout, [&](auto from) HWY_ATTR {
    for (size_t r = begin; r < end; ++r)
      DotWhole<decltype(from)>(w.codes + r * w.stride_bytes, w.cols, x, count, ldx, y + r, ldy);
  });
  if (whole) return;
  for (size_t r = begin; r < end; ++r) {
    qad::DecodeRow(w, r, scratch);
    DotWhole<FromF32>(reinterpret_cast<const std::byte*>(scratch), w.cols, x, count, ldx, y + r, ldy);
  }
}

// kM sums at a time over a strip of columns that stays in registers.
template <class From, size_t kM>
HWY_INLINE void SumRows(const MatrixView& w, const float* weights, size_t ldw, float* out, size_t ldo) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= w.cols; i += step) {
    hn::Vec<Wide> sums[kM];
    for (auto& sum : sums) sum = hn::Zero(d);
    for (size_t r = 0; r < w.rows; ++r) {
      const auto v = From::Load(d, w.codes + r * w.stride_bytes, i);
      for (size_t m = 0; m < kM; ++m) sums[m] = hn::MulAdd(hn::Set(d, weights[m * ldw + r]), v, sums[m]);
    }
    for (size_t m = 0; m < kM; ++m) hn::StoreU(sums[m], d, out + m * ldo + i);
  }
  for (; i < w.cols; ++i)
    for (size_t m = 0; m < kM; ++m) {
      float sum = 0;
      for (size_t r = 0; r < w.rows; ++r) sum += weights[m * ldw + r] * From::Scalar(w.codes + r * w.stride_bytes, i);
      out[m * ldo + i] = sum;
    }
}

template <class From>
HWY_INLINE void AllSums(const MatrixView& w, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  size_t m = 0;
  for (; m + 3 <= count; m += 3) SumRows<From, 3>(w, weights + m * ldw, ldw, out + m * ldo, ldo);
  for (; m < count; ++m) SumRows<From, 1>(w, weights + m * ldw, ldw, out + m * ldo, ldo);
}

void WeightedSums(const MatrixView& w, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  WithRows(w.layout, [&](auto from) HWY_ATTR { AllSums<decltype(from)>(w, weights, count, ldw, out, ldo); });
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(DotRows);
HWY_EXPORT(WeightedSums);

void DotRows(const MatrixView& matrix, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
             size_t ldy) {
  float* scratch = IsInteger(matrix.layout) ? RowScratch(matrix.cols) : nullptr;
  HWY_DYNAMIC_DISPATCH(DotRows)(matrix, begin, end, x, count, ldx, scratch, y, ldy);
}

void WeightedSums(const MatrixView& matrix, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  QAD_CHECK(!IsTiled(matrix.layout));
  HWY_DYNAMIC_DISPATCH(WeightedSums)(matrix, weights, count, ldw, out, ldo);
}

}  // namespace qad
#endif  // HWY_ONCE

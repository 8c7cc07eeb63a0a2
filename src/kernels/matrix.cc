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

constexpr size_t kRowsAtOnce = 4;

// The sum of the lanes of each of four vectors, always in the same order.
template <class D>
HWY_INLINE void SumsOfLanes(D d, const hn::Vec<D> (&of)[kRowsAtOnce], float* sums) {
#if HWY_TARGET == HWY_SCALAR
  (void)d;
  for (size_t r = 0; r < kRowsAtOnce; ++r) sums[r] = hn::GetLane(of[r]);
#else
  const hn::Repartition<double, D> d64;
  const auto fold = [&](auto a, auto b) HWY_ATTR {  // a0 + a2, b0 + b2, a1 + a3, b1 + b3 of each block
    return hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
  const auto first = fold(of[0], of[1]), second = fold(of[2], of[3]);
  const auto blocks = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, first, second)),
                              hn::BitCast(d, hn::InterleaveUpper(d64, first, second)));
  constexpr size_t kLanes = hn::MaxLanes(D());
  if constexpr (kLanes == 4) {
    hn::StoreU(blocks, d, sums);
  } else {
    const hn::Half<D> half;
    const auto halves = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
    if constexpr (kLanes == 8) {
      hn::StoreU(halves, half, sums);
    } else {
      static_assert(kLanes == 16);
      const hn::Half<decltype(half)> quarter;
      hn::StoreU(hn::Add(hn::LowerHalf(quarter, halves), hn::UpperHalf(quarter, halves)), quarter, sums);
    }
  }
#endif
}

// kR weight rows against kM activation rows: each vector of either is loaded once. A product is summed in the same
// order whatever is computed with it.
template <class From, size_t kR, size_t kM>
HWY_INLINE void DotTile(const std::byte* w, size_t stride, size_t n, const float* x, size_t ldx, float* y, size_t ldy) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  hn::Vec<Wide> sums[kM][kRowsAtOnce];
  for (auto& of : sums)
    for (auto& sum : of) sum = hn::Zero(d);
  size_t i = 0;
  for (; i + step <= n; i += step)
    for (size_t r = 0; r < kR; ++r) {
      const auto weights = From::Load(d, w + r * stride, i);
      for (size_t m = 0; m < kM; ++m) sums[m][r] = hn::MulAdd(weights, hn::LoadU(d, x + m * ldx + i), sums[m][r]);
    }
  for (size_t m = 0; m < kM; ++m) {
    HWY_ALIGN float totals[kRowsAtOnce];
    SumsOfLanes(d, sums[m], totals);
    for (size_t r = 0; r < kR; ++r) {
      for (size_t k = i; k < n; ++k) totals[r] += From::Scalar(w + r * stride, k) * x[m * ldx + k];
      y[m * ldy + r] = totals[r];
    }
  }
}

// How many of `left` rows go together, four at most: three or four queries share a key in many models.
constexpr size_t kMostTogether = 4;
size_t Together(size_t left) { return left % 3 == 0 ? 3 : left == 5 ? 3 : std::min(left, kMostTogether); }

// kR weight rows of 4 times any number of activations; with 4 of them two by two, so that sums fit AVX2's registers.
template <class From, size_t kR>
HWY_INLINE void DotActivations(const std::byte* w, size_t stride, size_t n, const float* x, size_t count, size_t ldx,
                               float* y, size_t ldy) {
  constexpr size_t kHalf = (kR + 1) / 2;
  for (size_t m = 0; m < count;) {
    const size_t together = Together(count - m);
    const float* from = x + m * ldx;
    float* to = y + m * ldy;
    if (together == 4) {
      DotTile<From, kHalf, 4>(w, stride, n, from, ldx, to, ldy);
      if constexpr (kR > kHalf) DotTile<From, kHalf, 4>(w + kHalf * stride, stride, n, from, ldx, to + kHalf, ldy);
    } else if (together == 3) {
      DotTile<From, kR, 3>(w, stride, n, from, ldx, to, ldy);
    } else if (together == 2) {
      DotTile<From, kR, 2>(w, stride, n, from, ldx, to, ldy);
    } else {
      DotTile<From, kR, 1>(w, stride, n, from, ldx, to, ldy);
    }
    m += together;
  }
}

// `rows` of them from `w` on.
template <class From>
HWY_INLINE void DotWhole(const std::byte* w, size_t stride, size_t rows, size_t n, const float* x, size_t count,
                         size_t ldx, float* y, size_t ldy) {
  size_t r = 0;
  for (; r + kRowsAtOnce <= rows; r += kRowsAtOnce)
    DotActivations<From, kRowsAtOnce>(w + r * stride, stride, n, x, count, ldx, y + r, ldy);
  for (; r < rows; ++r) DotActivations<From, 1>(w + r * stride, stride, n, x, count, ldx, y + r, ldy);
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

void DotRows(const MatrixView& w, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
             size_t ldy) {
  if (w.layout == Layout::kBF16Tile) return DotBF16Tiles(w, begin, end, x, count, ldx, y, ldy);
  if (w.layout == Layout::kF32 && w.cols < hn::Lanes(Wide())) return DotNarrow(w, begin, end, x, count, ldx, y, ldy);
  const bool whole = WithRows(w.layout, [&](auto from) HWY_ATTR {
    const std::byte* first = w.codes + begin * w.stride_bytes;
    DotWhole<decltype(from)>(first, w.stride_bytes, end - begin, w.cols, x, count, ldx, y + begin, ldy);
  });
  if (whole) return;
  float* scratch = RowScratch(kRowsAtOnce * w.cols);
  for (size_t r = begin; r < end; r += kRowsAtOnce) {
    const size_t rows = std::min(kRowsAtOnce, end - r);
    for (size_t k = 0; k < rows; ++k) qad::DecodeRow(w, r + k, scratch + k * w.cols);
    DotWhole<FromF32>(reinterpret_cast<const std::byte*>(scratch), w.cols * sizeof(float), rows, w.cols, x, count, ldx,
                      y + r, ldy);
  }
}

constexpr size_t kRowsAhead = 16, kCacheLine = 64;

// kM sums at a time over a strip of kV vectors of columns, from column i on, that stay in registers.
template <class From, size_t kM, size_t kV>
HWY_INLINE void SumStrip(const MatrixView& w, size_t i, const float* weights, size_t ldw, float* out, size_t ldo) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  hn::Vec<Wide> sums[kM][kV];
  for (auto& of : sums)
    for (auto& sum : of) sum = hn::Zero(d);
  const size_t row_bytes = LayoutRowBytes(w.layout, w.cols);
  const std::byte* row = w.codes;
  for (size_t r = 0; r < w.rows; ++r, row += w.stride_bytes) {
    if (i == 0)  // the first strip, for all of the row: processors do not guess every other line
      for (size_t at = 0; at < row_bytes; at += kCacheLine) __builtin_prefetch(row + kRowsAhead * w.stride_bytes + at);
    for (size_t v = 0; v < kV; ++v) {
      const auto values = From::Load(d, row, i + v * step);
      for (size_t m = 0; m < kM; ++m) sums[m][v] = hn::MulAdd(hn::Set(d, weights[m * ldw + r]), values, sums[m][v]);
    }
  }
  for (size_t m = 0; m < kM; ++m)
    for (size_t v = 0; v < kV; ++v) hn::StoreU(sums[m][v], d, out + m * ldo + i + v * step);
}

template <class From, size_t kM>
HWY_INLINE void SumRows(const MatrixView& w, const float* weights, size_t ldw, float* out, size_t ldo) {
  const size_t step = hn::Lanes(Wide());
  size_t i = 0;
  constexpr size_t kStrip = kM == 4 ? 3 : 4;  // vectors, so that sums fit AVX2's registers
  for (; i + kStrip * step <= w.cols; i += kStrip * step) SumStrip<From, kM, kStrip>(w, i, weights, ldw, out, ldo);
  for (; i + step <= w.cols; i += step) SumStrip<From, kM, 1>(w, i, weights, ldw, out, ldo);
  for (; i < w.cols; ++i)
    for (size_t m = 0; m < kM; ++m) {
      float sum = 0;
      for (size_t r = 0; r < w.rows; ++r) sum += weights[m * ldw + r] * From::Scalar(w.codes + r * w.stride_bytes, i);
      out[m * ldo + i] = sum;
    }
}

template <class From>
HWY_INLINE void AllSums(const MatrixView& w, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  for (size_t m = 0; m < count;) {
    const size_t together = Together(count - m);
    const float* from = weights + m * ldw;
    float* to = out + m * ldo;
    if (together == 4) SumRows<From, 4>(w, from, ldw, to, ldo);
    if (together == 3) SumRows<From, 3>(w, from, ldw, to, ldo);
    if (together == 2) SumRows<From, 2>(w, from, ldw, to, ldo);
    if (together == 1) SumRows<From, 1>(w, from, ldw, to, ldo);
    m += together;
  }
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
  HWY_DYNAMIC_DISPATCH(DotRows)(matrix, begin, end, x, count, ldx, y, ldy);
}

void WeightedSums(const MatrixView& matrix, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  QAD_CHECK(!IsTiled(matrix.layout));
  HWY_DYNAMIC_DISPATCH(WeightedSums)(matrix, weights, count, ldw, out, ldo);
}

}  // namespace qad
#endif  // HWY_ONCE

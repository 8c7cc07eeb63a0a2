// Integer products: activations as int8 in blocks of 32 against the int8 and int4 layouts. Each product of a row of
// weights and a row of activations is summed in the same order whatever tile it is computed in.
#include <algorithm>

#include "kernels/matrix.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matrix_int8.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;

void QuantizeActivations(const float* x, size_t cols, int8_t* codes, float* pairs) {
  const Wide d;
  const hn::Rebind<int32_t, Wide> i32;
  const hn::Rebind<int16_t, Wide> i16;
  const hn::Rebind<int8_t, Wide> i8;
  const size_t step = hn::Lanes(d);
  for (size_t b = 0; b * kBlock < cols; ++b) {
    const size_t n = std::min(kBlock, cols - b * kBlock);
    HWY_ALIGN float padded[kBlock] = {};
    const float* block = x + b * kBlock;
    if (n < kBlock) {
      std::copy_n(block, n, padded);
      block = padded;
    }
    auto top = hn::Zero(d);
    auto nothing = hn::Zero(d);  // 0, or NaN where a value is not finite: integers would hide it
    for (size_t i = 0; i < kBlock; i += step) {
      const auto v = hn::LoadU(d, block + i);
      top = hn::Max(top, hn::Abs(v));
      nothing = hn::MulAdd(v, hn::Zero(d), nothing);
    }
    const float largest = hn::GetLane(hn::MaxOfLanes(d, top)) + hn::GetLane(hn::SumOfLanes(d, nothing));
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    auto total = hn::Zero(i32);
    for (size_t i = 0; i < kBlock; i += step) {
      const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, block + i), hn::Set(d, inverse)));
      total = hn::Add(total, q);
      hn::StoreU(hn::DemoteTo(i8, hn::DemoteTo(i16, q)), i8, codes + b * kBlock + i);
    }
    pairs[2 * b] = scale;
    pairs[2 * b + 1] = scale * static_cast<float>(hn::GetLane(hn::SumOfLanes(i32, total)));
  }
}

#if HWY_TARGET == HWY_SCALAR

struct Codes {
  int16_t v[kBlock];
};
using Sums = float;
HWY_INLINE Sums ZeroSums() { return 0.0f; }
HWY_INLINE float Total(Sums sums) { return sums; }
HWY_INLINE Codes LoadInt8(const int8_t* from) {
  Codes codes;
  std::copy_n(from, kBlock, codes.v);
  return codes;
}
HWY_INLINE Codes LoadInt4(const uint8_t* from) {
  Codes codes;
  for (size_t i = 0; i < 16; ++i) {
    codes.v[i] = static_cast<int16_t>(from[i] & 15);
    codes.v[i + 16] = static_cast<int16_t>(from[i] >> 4);
  }
  return codes;
}
HWY_INLINE Sums AddBlock(const Codes& a, const Codes& b, float scale, Sums sums) {
  int32_t total = 0;
  for (size_t i = 0; i < kBlock; ++i) total += static_cast<int32_t>(a.v[i]) * b.v[i];
  return sums + scale * static_cast<float>(total);
}
HWY_INLINE Sums ScalesOf(const float* w, const float* x, size_t n, float* scales, float* tail, Sums sums) {
  for (size_t i = 0; i < n; ++i) scales[i] = w[i] * x[i];
  for (size_t i = 1; i < n; i += 2) *tail += scales[i];
  return sums;
}

#else

// A block widened to int16, in one to four vectors.
using I16 = hn::CappedTag<int16_t, kBlock>;
using I32 = hn::Repartition<int32_t, I16>;
using F32 = hn::Repartition<float, I16>;
constexpr size_t kLanes = hn::MaxLanes(I16());
constexpr size_t kSteps = kBlock / kLanes;
struct Codes {
  hn::Vec<I16> v[kSteps];
};
using Sums = hn::Vec<F32>;
HWY_INLINE Sums ZeroSums() { return hn::Zero(F32()); }
HWY_INLINE float Total(Sums sums) { return hn::GetLane(hn::SumOfLanes(F32(), sums)); }

HWY_INLINE Codes LoadInt8(const int8_t* from) {
  const hn::Rebind<int8_t, I16> i8;
  Codes codes;
  for (size_t s = 0; s < kSteps; ++s) codes.v[s] = hn::PromoteTo(I16(), hn::LoadU(i8, from + s * kLanes));
  return codes;
}

// In registers: bytes stored and loaded again at another width would stall.
HWY_INLINE Codes LoadInt4(const uint8_t* from) {
  const hn::Full128<uint8_t> u8;
  const hn::Repartition<uint16_t, decltype(u8)> u16;
  const auto bytes = hn::LoadU(u8, from);
  const auto low = hn::And(bytes, hn::Set(u8, 15));
  const auto high = hn::And(hn::BitCast(u8, hn::ShiftRight<4>(hn::BitCast(u16, bytes))), hn::Set(u8, 15));
  Codes codes;
#if HWY_MAX_BYTES >= 64
  codes.v[0] = hn::PromoteTo(I16(), hn::Combine(hn::Rebind<uint8_t, I16>(), high, low));
#elif HWY_MAX_BYTES == 32
  codes.v[0] = hn::PromoteTo(I16(), low);
  codes.v[1] = hn::PromoteTo(I16(), high);
#else
  const hn::Half<decltype(u8)> half;
  codes.v[0] = hn::PromoteTo(I16(), hn::LowerHalf(half, low));
  codes.v[1] = hn::PromoteTo(I16(), hn::UpperHalf(half, low));
  codes.v[2] = hn::PromoteTo(I16(), hn::LowerHalf(half, high));
  codes.v[3] = hn::PromoteTo(I16(), hn::UpperHalf(half, high));
#endif
  return codes;
}

// 32 products, added in pairs to int32 and scaled into f32 lanes.
HWY_INLINE Sums AddBlock(const Codes& a, const Codes& b, float scale, Sums sums) {
  auto low = hn::Zero(I32());
  auto high = hn::Zero(I32());
  for (size_t s = 0; s < kSteps; ++s) low = hn::ReorderWidenMulAccumulate(I32(), a.v[s], b.v[s], low, high);
  return hn::MulAdd(hn::ConvertTo(F32(), hn::Add(low, high)), hn::Set(F32(), scale), sums);
}

// Products of the pairs (scale, offset) with (scale, sum): even ones are the blocks' scales, odd ones are what the
// offsets add, and go to `sums` and, behind the last whole vector, to `tail`.
HWY_INLINE Sums ScalesOf(const float* w, const float* x, size_t n, float* scales, float* tail, Sums sums) {
  const F32 d;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= n; i += step) {
    const auto products = hn::Mul(hn::LoadU(d, w + i), hn::LoadU(d, x + i));
    hn::StoreU(products, d, scales + i);
    sums = hn::Add(sums, hn::OddEven(products, hn::Zero(d)));
  }
  for (; i < n; i += 2) {
    scales[i] = w[i] * x[i];
    *tail += w[i + 1] * x[i + 1];
  }
  return sums;
}

#endif

constexpr size_t kChunk = 32;  // blocks whose scales are prepared at a time

// (scale, offset) of blocks begin … begin+n of a row as f32; scale and 0 where the row has but one.
HWY_INLINE void WeightPairs(const MatrixView& w, size_t row, size_t begin, size_t n, size_t blocks, float* pairs) {
  if (w.layout != Layout::kInt8Row) return ConvertFromF16(w.block_pairs + (row * blocks + begin) * 2, pairs, 2 * n);
#if HWY_TARGET == HWY_SCALAR
  for (size_t b = 0; b < n; ++b) pairs[2 * b] = w.row_scales[row], pairs[2 * b + 1] = 0;
#else
  const F32 d;
  const auto pair = hn::OddEven(hn::Zero(d), hn::Set(d, w.row_scales[row]));
  for (size_t i = 0; i < 2 * kChunk; i += hn::Lanes(d)) hn::StoreU(pair, d, pairs + i);
#endif
}

// kRows rows of weights against kCount rows of activations: each block is unpacked once and each pair has its own sum.
template <bool kFour, size_t kRows, size_t kCount>
HWY_INLINE void Tile(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, float* y, size_t ldy) {
  constexpr size_t kBytes = kFour ? kBlock / 2 : kBlock;
  Sums sums[kRows][kCount];
  float tails[kRows][kCount] = {};
  for (auto& of_row : sums)
    for (Sums& sum : of_row) sum = ZeroSums();
  HWY_ALIGN float pairs[kRows][2 * kChunk];
  HWY_ALIGN float scales[kRows][kCount][2 * kChunk];
  for (size_t begin = 0; begin < x.blocks; begin += kChunk) {
    const size_t n = std::min(kChunk, x.blocks - begin);
    for (size_t r = 0; r < kRows; ++r) {
      WeightPairs(w, row + r, begin, n, x.blocks, pairs[r]);
      for (size_t m = 0; m < kCount; ++m)
        sums[r][m] = ScalesOf(pairs[r], x.pairs + ((first + m) * x.blocks + begin) * 2, 2 * n, scales[r][m],
                              &tails[r][m], sums[r][m]);
    }
    for (size_t b = 0; b < n; ++b) {
      Codes weights[kRows];
      for (size_t r = 0; r < kRows; ++r) {
        const std::byte* codes = w.codes + (row + r) * w.stride_bytes + (begin + b) * kBytes;
        // Several short streams at once defeat the hardware's prefetch: ask for the next tile's line.
        if (b % (64 / kBytes) == 0) hwy::Prefetch(codes + kRows * w.stride_bytes);
        if constexpr (kFour)
          weights[r] = LoadInt4(reinterpret_cast<const uint8_t*>(codes));
        else
          weights[r] = LoadInt8(reinterpret_cast<const int8_t*>(codes));
      }
      for (size_t m = 0; m < kCount; ++m) {
        const Codes activations = LoadInt8(x.codes + ((first + m) * x.blocks + begin + b) * kBlock);
        for (size_t r = 0; r < kRows; ++r)
          sums[r][m] = AddBlock(weights[r], activations, scales[r][m][2 * b], sums[r][m]);
      }
    }
  }
  for (size_t r = 0; r < kRows; ++r)
    for (size_t m = 0; m < kCount; ++m) y[(first + m) * ldy + row + r] = Total(sums[r][m]) + tails[r][m];
}

template <bool kFour, size_t kRows, size_t kCount>
HWY_INLINE void Tiles(const MatrixView& w, size_t begin, size_t end, const QuantizedRows& x, size_t first, float* y,
                      size_t ldy) {
  size_t row = begin;
  for (; row + kRows <= end; row += kRows) Tile<kFour, kRows, kCount>(w, row, x, first, y, ldy);
  for (; row < end; ++row) Tile<kFour, 1, kCount>(w, row, x, first, y, ldy);
}

template <bool kFour>
void AllTiles(const MatrixView& w, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy) {
  size_t m = 0;
  for (; m + 4 <= x.count; m += 4) Tiles<kFour, 2, 4>(w, begin, end, x, m, y, ldy);
  for (; m < x.count; ++m) Tiles<kFour, 4, 1>(w, begin, end, x, m, y, ldy);
}

void DotRowsInt8(const MatrixView& w, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy) {
  w.layout == Layout::kInt4Block ? AllTiles<true>(w, begin, end, x, y, ldy) : AllTiles<false>(w, begin, end, x, y, ldy);
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(QuantizeActivations);
HWY_EXPORT(DotRowsInt8);

void QuantizeActivations(const float* x, size_t cols, int8_t* codes, float* pairs) {
  HWY_DYNAMIC_DISPATCH(QuantizeActivations)(x, cols, codes, pairs);
}

void DotRowsInt8(const MatrixView& matrix, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy) {
  HWY_DYNAMIC_DISPATCH(DotRowsInt8)(matrix, begin, end, x, y, ldy);
}

}  // namespace qad
#endif  // HWY_ONCE

// Integer products: activations as int8 in blocks of 32 against tiles of 16 rows. Each product of a row of weights and
// a row of activations is summed in the same order however many are computed at once.
#include <algorithm>
#include <cstring>

#include "kernels/matrix.h"
#include "kernels/tiles.h"
#include "kernels/tiles_avx2.h"
#include "kernels/tiles_vnni.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matrix_int8.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;

void QuantizeActivations(const float* x, size_t cols, const QuantizedRows& to, size_t m) {
  const Wide d;
  const hn::Rebind<int32_t, Wide> i32;
  const hn::Rebind<int16_t, Wide> i16;
  const hn::Rebind<int8_t, Wide> i8;
  const size_t step = hn::Lanes(d);
  for (size_t b = 0; b * kBlock < cols; ++b) {
    const size_t n = std::min(kBlock, cols - b * kBlock), at = to.At(m, b);
    int8_t* codes = to.codes + at * kBlock;
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
    uint32_t sums[2];  // of each half; of NaN any numbers
    for (size_t half = 0; half < 2; ++half) {
      auto total = hn::Zero(i32);
      for (size_t i = half * kBlock / 2; i < (half + 1) * kBlock / 2; i += step) {
        const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, block + i), hn::Set(d, inverse)));
        total = hn::Add(total, q);
        hn::StoreU(hn::DemoteTo(i8, hn::DemoteTo(i16, q)), i8, codes + i);
      }
      sums[half] = static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(i32, total)));
      to.shifts[2 * at + half] = static_cast<int32_t>(0u - 128u * sums[half]);
    }
    to.pairs[2 * at] = scale;
    to.pairs[2 * at + 1] = scale * static_cast<float>(static_cast<int32_t>(sums[0] + sums[1]));
  }
}

// Scales and offsets of a part of a block of a tile as f32; of kInt8Row the rows' scales and zeros.
HWY_INLINE void BlockPairs(const MatrixView& w, size_t row, size_t block, size_t part, float* pairs) {
  if (w.layout == Layout::kInt8Row) {
    std::copy_n(w.row_scales + row, kTileRows, pairs);
    std::fill_n(pairs + kTileRows, kTileRows, 0.0f);
    return;
  }
  if (IsTable(w.layout)) {
    for (size_t r = 0; r < kTileRows; ++r) pairs[r] = TableOf(w.layout).step * TileFloats(w, row, block)[r];
    std::fill_n(pairs + kTileRows, kTileRows, 0.0f);
    return;
  }
  if (!IsSuper(w.layout)) {
    ConvertFromF16(TilePairs(w, row, block), pairs, kTilePairs);
    if (w.layout == Layout::kInt4Zero)
      for (size_t r = 0; r < kTileRows; ++r) pairs[kTileRows + r] *= -pairs[r];
    return;
  }
  const SuperScales scales = TileSuper(w, row, block);
  ConvertFromF16(scales.pairs, pairs, kTilePairs);
  const uint8_t *factors = scales.parts + part * kTileRows, *minimums = factors + ScaledParts(w.layout) * kTileRows;
  for (size_t r = 0; r < kTileRows; ++r) {
    pairs[r] *= static_cast<float>(SuperFactor(w.layout, factors[r]));
    pairs[kTileRows + r] *= static_cast<float>(minimums[r]);
  }
}

// Σ of the products of columns begin … end of a block with each of the 16 rows, scaled.
HWY_INLINE void AddRows(const MatrixView& w, size_t row, size_t block, size_t begin, size_t end, const int8_t* x,
                        const float* scales, float x_scale, float* sums) {
  for (size_t r = 0; r < kTileRows; ++r) {
    int8_t codes[kBlock];
    ReadBlock(w, row + r, block, codes);
    if (IsTable(w.layout))
      for (int8_t& code : codes) code = TableOf(w.layout).bytes[static_cast<size_t>(code)];
    int32_t total = 0;
    for (size_t i = begin; i < end; ++i) total += static_cast<int32_t>(codes[i]) * x[i];
    sums[2 * r] += scales[r] * x_scale * static_cast<float>(total);
  }
}

#if HWY_TARGET != HWY_SCALAR

// Vectors of int16 hold four values of each of several rows; products are added in pairs, so that each row has two sums
// side by side.
using I16 = hn::CappedTag<int16_t, kBlock>;
using I32 = hn::Repartition<int32_t, I16>;
using F32 = hn::Repartition<float, I16>;
constexpr size_t kLanes = hn::MaxLanes(I16());
constexpr size_t kVectors = kTileColumn / kLanes;  // of one column of a block

// Column j of a block of values 4j … 4j+3.
HWY_INLINE void AddColumn(Layout layout, const uint8_t* block, int j, hn::Vec<I16> x, hn::Vec<I32>* sums) {
  const hn::Rebind<uint8_t, I16> u8;
  const hn::Rebind<int8_t, I16> i8;
  const bool nibbles = IsUnsigned(layout);
  const uint8_t* column = block + static_cast<size_t>(nibbles ? j / 2 : j) * kTileColumn;
  const uint8_t* fifth = block + kBlock / 8 * kTileColumn;
  auto unused = hn::Zero(I32());
  for (size_t v = 0; v < kVectors; ++v) {
    const auto bytes = hn::LoadU(u8, column + v * kLanes);
    auto codes = hn::PromoteTo(I16(), hn::BitCast(i8, bytes));
    if (nibbles) {
      const auto wide = hn::PromoteTo(I16(), bytes);
      codes = j % 2 == 1 ? hn::ShiftRight<4>(wide) : hn::And(wide, hn::Set(I16(), 15));
    }
    if (HasFifth(layout)) {
      const auto bits = hn::PromoteTo(I16(), hn::LoadU(u8, fifth + v * kLanes));
      const int shift = FifthShift(j);
      const auto moved = shift >= 0 ? hn::ShiftRightSame(bits, shift) : hn::ShiftLeftSame(bits, -shift);
      codes = hn::Or(codes, hn::And(moved, hn::Set(I16(), 16)));
    }
    sums[v] = hn::ReorderWidenMulAccumulate(I32(), codes, x, sums[v], unused);
  }
}

// As AddRows, of any layout but tables.
HWY_INLINE void AddColumns(const MatrixView& w, size_t row, size_t block, size_t begin, size_t end, const int8_t* x,
                           const float* scales, float x_scale, float* sums) {
  const auto* codes = reinterpret_cast<const uint8_t*>(TileBlock(w, row, block));
  HWY_ALIGN int16_t wide[kBlock];
  std::transform(x, x + kBlock, wide, [](int8_t code) { return static_cast<int16_t>(code); });
  uint64_t fours[kBlock / 4];
  std::memcpy(fours, wide, sizeof(fours));
  const hn::Repartition<uint64_t, I16> u64;
  hn::Vec<I32> totals[kVectors];
  for (auto& total : totals) total = hn::Zero(I32());
  for (int j = static_cast<int>(begin / 4); j < static_cast<int>(end / 4); ++j)
    AddColumn(w.layout, codes, j, hn::BitCast(I16(), hn::Set(u64, fours[j])), totals);
  HWY_ALIGN float twice[kTilePairs];
  for (size_t r = 0; r < kTileRows; ++r) twice[2 * r] = twice[2 * r + 1] = scales[r] * x_scale;
  for (size_t v = 0; v < kVectors; ++v) {
    float* at = sums + v * kLanes / 2;
    const auto scale = hn::Load(F32(), twice + v * kLanes / 2);
    hn::Store(hn::MulAdd(hn::ConvertTo(F32(), totals[v]), scale, hn::Load(F32(), at)), F32(), at);
  }
}

#endif

// y of the 16 rows of a tile for one row of activations.
void DotTile(const MatrixView& w, size_t row, const QuantizedRows& x, size_t m, float* y) {
  HWY_ALIGN float sums[kTilePairs] = {}, offsets[kTileRows] = {};
  const size_t parts = ScaledParts(w.layout), size = kBlock / parts;
  for (size_t b = 0; b < x.blocks; ++b) {
    const size_t at = x.At(m, b);
    for (size_t part = 0; part < parts; ++part) {
      HWY_ALIGN float pairs[kTilePairs];
      BlockPairs(w, row, b, part, pairs);
      const int8_t* codes = x.codes + at * kBlock;
#if HWY_TARGET != HWY_SCALAR
      if (!IsTable(w.layout))
        AddColumns(w, row, b, part * size, (part + 1) * size, codes, pairs, x.pairs[2 * at], sums);
      else
#endif
        AddRows(w, row, b, part * size, (part + 1) * size, codes, pairs, x.pairs[2 * at], sums);
      const float sum = parts == 1 ? x.pairs[2 * at + 1] : x.HalfSum(at, part);
      for (size_t r = 0; r < kTileRows; ++r) offsets[r] += pairs[kTileRows + r] * sum;
    }
  }
  for (size_t r = 0; r < kTileRows; ++r) y[r] = sums[2 * r] + sums[2 * r + 1] + offsets[r];
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(QuantizeActivations);
HWY_EXPORT(DotTile);

void QuantizeActivations(const float* x, size_t cols, const QuantizedRows& to, size_t m) {
  HWY_DYNAMIC_DISPATCH(QuantizeActivations)(x, cols, to, m);
}

namespace {

using TileFunction = void (*)(const MatrixView&, size_t row, const QuantizedRows&, size_t first, size_t count, float* y,
                              size_t ldy);

void DotTilePortable(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                     size_t ldy) {
  const auto dot = HWY_DYNAMIC_DISPATCH(DotTile);
  for (size_t m = 0; m < count; ++m) dot(w, row, x, first + m, y + m * ldy);
}

}  // namespace

void DotRowsInt8(const MatrixView& w, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy) {
  const TileFunction dot = HasVnni() ? DotTileVnni : HasAvx2Tiles() ? DotTileAvx2 : DotTilePortable;
  // A strip of activations meets all tiles while it is in the cache.
  for (size_t first = 0; first < x.count; first += QuantizedRows::kStrip) {
    const size_t count = x.StripRows(first);
    float* out = y + first * ldy;
    for (size_t row = begin / kTileRows * kTileRows; row < end; row += kTileRows) {
      if (row >= begin && row + kTileRows <= end) {
        dot(w, row, x, first, count, out + row, ldy);
        continue;
      }
      const size_t from = std::max(row, begin), to = std::min(row + kTileRows, end);
      float all[QuantizedRows::kStrip * kTileRows];  // rows of the tile that nobody asked for among them
      dot(w, row, x, first, count, all, kTileRows);
      for (size_t m = 0; m < count; ++m)
        std::copy(all + m * kTileRows + (from - row), all + m * kTileRows + (to - row), out + m * ldy + from);
    }
  }
}

// With AVX2 codes of 8 bits gain an eighth on f32, too little for an error of activations that is larger than their own
// (docs/performance.md), those of Q6_K nothing.
bool Int8OutrunsF32(Layout layout) {
  return IsInteger(layout) && (HasVnni() || (HasAvx2Tiles() && IsUnsigned(layout)));
}

}  // namespace qad
#endif  // HWY_ONCE

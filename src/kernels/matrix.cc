#include "kernels/matrix.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matrix.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;

// Targets before F16C: Highway's own conversion there knows neither infinity nor signed zero and truncates.
#define QAD_SOFT_F16 (HWY_TARGET == HWY_SCALAR || (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2))

template <typename T>
HWY_INLINE T At(const std::byte* row, size_t i) {
  T value;
  std::memcpy(&value, row + i * sizeof(T), sizeof(T));
  return value;
}

HWY_INLINE float HalfAt(const std::byte* at) {
#if QAD_SOFT_F16
  return F16ToFloat(At<uint16_t>(at, 0));
#else
  const hn::CappedTag<float, 1> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  return hn::GetLane(hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(at))));
#endif
}

// Each layout of whole rows: Lanes(Wide) values from value `i` of a row on as f32, or that one. Of rows of blocks, i is
// a multiple of the lanes, which divide half a block.
static_assert(kBlock / 2 % hn::MaxLanes(Wide()) == 0);
struct FromF32 {
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    return hn::LoadU(d, reinterpret_cast<const float*>(row) + i);
  }
  static float Scalar(const std::byte* row, size_t i) { return At<float>(row, i); }
};
struct FromBF16 {
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    const hn::Rebind<uint16_t, Wide> d16;
    const hn::RebindToUnsigned<Wide> d32;
    const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(row) + i);
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
  }
  static float Scalar(const std::byte* row, size_t i) { return BF16ToFloat(At<uint16_t>(row, i)); }
};
struct FromF16 {
#if QAD_SOFT_F16
  // The exponent is moved by a multiplication, which also normalizes subnormals; infinity and NaN get theirs whole.
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    const hn::Rebind<uint16_t, Wide> d16;
    const hn::RebindToUnsigned<Wide> d32;
    const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(row) + i));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(d32, 0x7fff)));
    const auto moved = hn::BitCast(d32, hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112f)));
    const auto special = hn::IfThenElseZero(hn::Gt(magnitude, hn::Set(d32, 0x0f7fffff)), hn::Set(d32, 0x7f800000));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(d32, 0x8000)));
    return hn::BitCast(d, hn::Or(hn::Or(moved, special), sign));
  }
#else
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    const hn::Rebind<hwy::float16_t, Wide> d16;
    return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(row) + i));
  }
#endif
  static float Scalar(const std::byte* row, size_t i) { return F16ToFloat(At<uint16_t>(row, i)); }
};
struct FromQ8_0 {
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    const hn::Rebind<int8_t, Wide> i8;
    const hn::Rebind<int32_t, Wide> i32;
    const std::byte* block = row + i / kBlock * kQ8Bytes;
    const auto codes = hn::LoadU(i8, reinterpret_cast<const int8_t*>(block + sizeof(uint16_t)) + i % kBlock);
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(i32, codes)), hn::Set(d, HalfAt(block)));
  }
  static float Scalar(const std::byte* row, size_t i) {
    const std::byte* block = row + i / kBlock * kQ8Bytes;
    return static_cast<float>(At<int8_t>(block + sizeof(uint16_t), i % kBlock)) * HalfAt(block);
  }
};
struct FromQ4_0 {
  static HWY_INLINE hn::Vec<Wide> Load(Wide d, const std::byte* row, size_t i) {
    const hn::Rebind<uint8_t, Wide> u8;
    const hn::Rebind<int32_t, Wide> i32;
    const std::byte* block = row + i / kBlock * kQ4Bytes;
    const auto both = hn::LoadU(u8, reinterpret_cast<const uint8_t*>(block + sizeof(uint16_t)) + i % (kBlock / 2));
    const auto wide = hn::PromoteTo(i32, both);
    const auto codes = i % kBlock < kBlock / 2 ? hn::And(wide, hn::Set(i32, 15)) : hn::ShiftRight<4>(wide);
    return hn::Mul(hn::ConvertTo(d, hn::Sub(codes, hn::Set(i32, 8))), hn::Set(d, HalfAt(block)));
  }
  static float Scalar(const std::byte* row, size_t i) {
    const std::byte* block = row + i / kBlock * kQ4Bytes;
    const unsigned both = At<uint8_t>(block + sizeof(uint16_t), i % (kBlock / 2));
    const unsigned code = i % kBlock < kBlock / 2 ? both & 15u : both >> 4;
    return static_cast<float>(static_cast<int>(code) - 8) * HalfAt(block);
  }
};

// Calls use(From) for a layout of whole rows; returns whether it is one.
template <class Use>
HWY_INLINE bool WithRows(Layout layout, const Use& use) {
  switch (layout) {
    case Layout::kF32:
      use(FromF32());
      return true;
    case Layout::kF16:
      use(FromF16());
      return true;
    case Layout::kBF16:
      use(FromBF16());
      return true;
    case Layout::kQ8_0:
      use(FromQ8_0());
      return true;
    case Layout::kQ4_0:
      use(FromQ4_0());
      return true;
    default:
      return false;
  }
}

template <class From>
HWY_INLINE void Decode(const std::byte* row, float* out, size_t n) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= n; i += step) hn::StoreU(From::Load(d, row, i), d, out + i);
  for (; i < n; ++i) out[i] = From::Scalar(row, i);
}

void ConvertFromBF16(const uint16_t* in, float* out, size_t n) {
  Decode<FromBF16>(reinterpret_cast<const std::byte*>(in), out, n);
}
void ConvertFromF16(const uint16_t* in, float* out, size_t n) {
  Decode<FromF16>(reinterpret_cast<const std::byte*>(in), out, n);
}

void ConvertToBF16(const float* in, uint16_t* out, size_t n) {
  const Wide d;
  const hn::RebindToUnsigned<Wide> d32;
  const hn::Rebind<uint16_t, Wide> d16;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::BitCast(d32, hn::LoadU(d, in + i));
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff))));
    const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(d32, 0x40));
    const auto nan = hn::Gt(hn::And(bits, hn::Set(d32, 0x7fffffff)), hn::Set(d32, 0x7f800000));
    const auto value = hn::IfThenElse(nan, quiet, rounded);
    // Values are at most 0xffff: the signed narrowing after sign extension keeps all 16 bits.
    const hn::RebindToSigned<decltype(d32)> i32;
    const hn::Rebind<int16_t, Wide> i16;
    const auto extended = hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(i32, value)));
    hn::StoreU(hn::BitCast(d16, hn::DemoteTo(i16, extended)), d16, out + i);
  }
  for (; i < n; ++i) out[i] = FloatToBF16(in[i]);
}

void ConvertToF16(const float* in, uint16_t* out, size_t n) {
  size_t i = 0;
#if !QAD_SOFT_F16
  const Wide d;
  const hn::Rebind<hwy::float16_t, Wide> d16;
  const size_t step = hn::Lanes(d);
  for (; i + step <= n; i += step)
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, in + i)), d16, reinterpret_cast<hwy::float16_t*>(out + i));
#endif
  for (; i < n; ++i) out[i] = FloatToF16(in[i]);
}

HWY_INLINE void DecodeInt8Block(const int8_t* codes, float scale, float offset, size_t n, float* out) {
  const Wide d;
  const hn::Rebind<int32_t, Wide> i32;
  const hn::Rebind<int8_t, Wide> i8;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= n; i += step) {
    const auto q = hn::ConvertTo(d, hn::PromoteTo(i32, hn::LoadU(i8, codes + i)));
    hn::StoreU(hn::MulAdd(q, hn::Set(d, scale), hn::Set(d, offset)), d, out + i);
  }
  for (; i < n; ++i) out[i] = static_cast<float>(codes[i]) * scale + offset;
}

HWY_INLINE void DecodeBlocks(const MatrixView& w, size_t row, bool codes_alone, float* out) {
  const size_t parts = ScaledParts(w.layout), size = kBlock / parts;
  for (size_t b = 0; b * kBlock < w.cols; ++b) {
    HWY_ALIGN int8_t codes[kBlock];
    ReadBlock(w, row, b, codes);
    for (size_t part = 0; part < parts; ++part, out += size) {
      const Affine affine = codes_alone && w.layout == Layout::kInt8Row ? Affine{1, 0} : AffineOf(w, row, b, part);
      const size_t n = std::min(size, w.cols - b * kBlock);
      if (w.layout == Layout::kNf4)
        for (size_t i = 0; i < n; ++i) out[i] = affine.scale * kNf4Values[codes[i]];
      else
        DecodeInt8Block(codes + part * size, affine.scale, affine.offset, n, out);
    }
  }
}

HWY_INLINE void DecodePairs(const MatrixView& w, size_t row, float* out) {
  const std::byte* at = PairAt(w, row, 0);
  for (size_t i = 0; i < w.cols; ++i) out[i] = BF16ToFloat(At<uint16_t>(at + i / 2 * kTileRows * kPairBytes, i % 2));
}

// Of kInt8Row with `codes_alone` without the row's scale.
void DecodeRow(const MatrixView& w, size_t row, bool codes_alone, float* out) {
  const bool whole = WithRows(
      w.layout, [&](auto from) HWY_ATTR { Decode<decltype(from)>(w.codes + row * w.stride_bytes, out, w.cols); });
  if (whole) return;
  if (w.layout == Layout::kBF16Tile)
    DecodePairs(w, row, out);
  else
    DecodeBlocks(w, row, codes_alone, out);
}

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
    DecodeBlocks(w, r, false, scratch);
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

HWY_EXPORT(ConvertFromBF16);
HWY_EXPORT(ConvertFromF16);
HWY_EXPORT(ConvertToBF16);
HWY_EXPORT(ConvertToF16);
HWY_EXPORT(DecodeRow);
HWY_EXPORT(DotRows);
HWY_EXPORT(WeightedSums);

namespace {

constexpr size_t kMaxDecodedCols = size_t{1} << 20;

float* Scratch(size_t cols) {
  QAD_CHECK(cols <= kMaxDecodedCols);
  static thread_local std::vector<float> scratch;
  if (scratch.size() < cols) scratch.resize(cols);
  return scratch.data();
}

}  // namespace

void ConvertFromBF16(const uint16_t* in, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertFromBF16)(in, out, n); }
void ConvertFromF16(const uint16_t* in, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertFromF16)(in, out, n); }
void ConvertToBF16(const float* in, uint16_t* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertToBF16)(in, out, n); }
void ConvertToF16(const float* in, uint16_t* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertToF16)(in, out, n); }

void DecodeRow(const MatrixView& matrix, size_t row, float* out) {
  HWY_DYNAMIC_DISPATCH(DecodeRow)(matrix, row, false, out);
}

void DecodeRowBF16(const MatrixView& matrix, size_t row, uint16_t* out) {
  float* scratch = Scratch(matrix.cols);
  HWY_DYNAMIC_DISPATCH(DecodeRow)(matrix, row, true, scratch);  // codes alone are exact in bf16
  ConvertToBF16(scratch, out, matrix.cols);
}

void DotRows(const MatrixView& matrix, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
             size_t ldy) {
  float* scratch = IsInteger(matrix.layout) ? Scratch(matrix.cols) : nullptr;
  HWY_DYNAMIC_DISPATCH(DotRows)(matrix, begin, end, x, count, ldx, scratch, y, ldy);
}

void WeightedSums(const MatrixView& matrix, const float* weights, size_t count, size_t ldw, float* out, size_t ldo) {
  QAD_CHECK(!IsTiled(matrix.layout));
  HWY_DYNAMIC_DISPATCH(WeightedSums)(matrix, weights, count, ldw, out, ldo);
}

}  // namespace qad
#endif  // HWY_ONCE

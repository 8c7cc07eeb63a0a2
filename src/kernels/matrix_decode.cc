// Rows decoded, and conversions of f32 to and from its halves.
#include <algorithm>

#include "base/half.h"
#include "kernels/matrix.h"
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matrix_decode.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

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

HWY_INLINE void DecodeBlocks(const MatrixView& w, size_t row, float* out) {
  const size_t parts = ScaledParts(w.layout), size = kBlock / parts;
  for (size_t b = 0; b * kBlock < w.cols; ++b) {
    HWY_ALIGN int8_t codes[kBlock];
    ReadBlock(w, row, b, codes);
    for (size_t part = 0; part < parts; ++part, out += size) {
      const Affine affine = AffineOf(w, row, b, part);
      const size_t n = std::min(size, w.cols - b * kBlock);
      if (IsTable(w.layout))
        for (size_t i = 0; i < n; ++i) out[i] = affine.scale * TableOf(w.layout).values[codes[i]];
      else
        DecodeInt8Block(codes + part * size, affine.scale, affine.offset, n, out);
    }
  }
}

HWY_INLINE void DecodePairs(const MatrixView& w, size_t row, float* out) {
  const std::byte* at = PairAt(w, row, 0);
  for (size_t i = 0; i < w.cols; ++i) out[i] = BF16ToFloat(At<uint16_t>(at + i / 2 * kTileRows * kPairBytes, i % 2));
}

void DecodeRow(const MatrixView& w, size_t row, float* out) {
  const bool whole = WithRows(
      w.layout, [&](auto from) HWY_ATTR { Decode<decltype(from)>(w.codes + row * w.stride_bytes, out, w.cols); });
  if (whole) return;
  if (w.layout == Layout::kBF16Tile)
    DecodePairs(w, row, out);
  else
    DecodeBlocks(w, row, out);
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

void ConvertFromBF16(const uint16_t* in, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertFromBF16)(in, out, n); }
void ConvertFromF16(const uint16_t* in, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertFromF16)(in, out, n); }
void ConvertToBF16(const float* in, uint16_t* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertToBF16)(in, out, n); }
void ConvertToF16(const float* in, uint16_t* out, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertToF16)(in, out, n); }

void DecodeRow(const MatrixView& matrix, size_t row, float* out) { HWY_DYNAMIC_DISPATCH(DecodeRow)(matrix, row, out); }

}  // namespace qad
#endif  // HWY_ONCE

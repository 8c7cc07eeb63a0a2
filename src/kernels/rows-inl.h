// Rows of the layouts that are stored row by row, loaded as f32 vectors: included once per target, by files that
// Highway compiles for each.
#if defined(QAD_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_KERNELS_ROWS_INL_H_
#undef QAD_KERNELS_ROWS_INL_H_
#else
#define QAD_KERNELS_ROWS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstring>

#include "base/half.h"
#include "kernels/matrix.h"

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;

#undef QAD_SOFT_F16
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

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // QAD_KERNELS_ROWS_INL_H_

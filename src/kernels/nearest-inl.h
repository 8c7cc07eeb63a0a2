// Vectors of values rounded to whole numbers of a range, or to the values of a table: included once per target, by
// files that Highway compiles for each.
#if defined(QAD_KERNELS_NEAREST_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_KERNELS_NEAREST_INL_H_
#undef QAD_KERNELS_NEAREST_INL_H_
#else
#define QAD_KERNELS_NEAREST_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>

#include "kernels/fit_codes.h"

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
inline constexpr size_t kMostLanes = 8;
using Wide = hn::CappedTag<float, kMostLanes>;

// Both have Nearest, the value that v is rounded to, and Code, what is stored for it.
struct ToRange {
  float low, high;
  explicit ToRange(CodeRange range) : low(static_cast<float>(range.low)), high(static_cast<float>(range.high)) {}
  HWY_INLINE hn::Vec<Wide> Nearest(hn::Vec<Wide> v) const {
    const Wide d;
    return hn::Round(hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high)));
  }
  HWY_INLINE hn::Vec<Wide> Code(hn::Vec<Wide> v) const { return Nearest(v); }
};
struct ToTable {
  static constexpr int kValues = 16;
  static constexpr bool kHalves = hn::MaxLanes(Wide()) == kValues / 2;  // of the table fill a register
  const float* values;
  float low, high;
  HWY_ALIGN float middles[kValues];  // above the last value: none
  explicit ToTable(const float* table) : values(table), low(table[0]), high(table[kValues - 1]) {
    for (int i = 0; i + 1 < kValues; ++i) middles[i] = 0.5f * (values[i] + values[i + 1]);
    middles[kValues - 1] = HUGE_VALF;
  }
  // A place in the table: in its upper half or not, and where there.
  struct Place {
    hn::Mask<Wide> upper;
    hn::Vec<hn::RebindToSigned<Wide>> at;
  };
  HWY_INLINE hn::Vec<Wide> LookUp(const float* table, const Place& place) const {
    const Wide d;
    const auto at = hn::IndicesFromVec(d, place.at);
    return hn::IfThenElse(place.upper, hn::TableLookupLanes(hn::LoadU(d, table + kValues / 2), at),
                          hn::TableLookupLanes(hn::LoadU(d, table), at));
  }
  // How many thresholds v lies above, by halving.
  HWY_INLINE Place Halve(hn::Vec<Wide> v) const {
    const Wide d;
    const hn::RebindToSigned<Wide> i32;
    Place place{hn::Gt(v, hn::Set(d, middles[kValues / 2 - 1])), hn::Zero(i32)};
    for (const int step : {4, 2, 1}) {
      const auto middle = LookUp(middles, {place.upper, hn::Add(place.at, hn::Set(i32, step - 1))});
      const auto above = hn::RebindMask(i32, hn::Gt(v, middle));
      place.at = hn::Add(place.at, hn::IfThenElseZero(above, hn::Set(i32, step)));
    }
    return place;
  }
  // From the first value up, by what each threshold that v lies above adds.
  template <class Step>
  HWY_INLINE hn::Vec<Wide> Climb(hn::Vec<Wide> v, float start, const Step& step) const {
    const Wide d;
    auto sum = hn::Set(d, start);
    for (int i = 0; i + 1 < kValues; ++i)
      sum = hn::Add(sum, hn::IfThenElseZero(hn::Gt(v, hn::Set(d, middles[i])), hn::Set(d, step(i))));
    return sum;
  }
  HWY_INLINE hn::Vec<Wide> Nearest(hn::Vec<Wide> v) const {
    if constexpr (kHalves) return LookUp(values, Halve(v));
    return Climb(v, low, [&](int i) { return values[i + 1] - values[i]; });
  }
  HWY_INLINE hn::Vec<Wide> Code(hn::Vec<Wide> v) const {
    if constexpr (kHalves) {
      const auto [upper, at] = Halve(v);
      const Wide d;
      return hn::Add(hn::ConvertTo(d, at), hn::IfThenElseZero(upper, hn::Set(d, kValues / 2)));
    }
    return Climb(v, 0, [](int) { return 1.0f; });
  }
};

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // QAD_KERNELS_NEAREST_INL_H_

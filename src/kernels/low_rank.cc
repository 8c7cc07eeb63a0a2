#include "kernels/low_rank.h"

#include "base/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/low_rank.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What a single vector of outputs takes at a time; returns how many outputs were.
#if HWY_TARGET == HWY_SCALAR
size_t AddWholeVectors(const float*, size_t, size_t, const float*, float, float*) { return 0; }
#else

constexpr size_t kMostLanes = 8;  // ranks are seldom smaller

using Tag = hn::CappedTag<float, kMostLanes>;
using Vector = hn::Vec<Tag>;

// The sums of each vector's lanes, halving their number in every round: lane i is the sum of sums[i].
HWY_INLINE Vector SumEach(Tag d, Vector* sums) {
  for (size_t left = hn::Lanes(d); left > 1; left /= 2)
    for (size_t i = 0; i < left / 2; ++i)
      sums[i] =
          hn::Add(hn::ConcatEven(d, sums[2 * i + 1], sums[2 * i]), hn::ConcatOdd(d, sums[2 * i + 1], sums[2 * i]));
  return sums[0];
}

size_t AddWholeVectors(const float* b, size_t outputs, size_t rank, const float* z, float scale, float* y) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  if (rank % lanes != 0) return 0;
  const Vector scales = hn::Set(d, scale);
  size_t r = 0;
  for (; r + lanes <= outputs; r += lanes) {
    Vector sums[kMostLanes];
    for (size_t i = 0; i < lanes; ++i) {
      const float* row = b + (r + i) * rank;
      sums[i] = hn::Mul(hn::LoadU(d, row), hn::LoadU(d, z));
      for (size_t k = lanes; k < rank; k += lanes)
        sums[i] = hn::MulAdd(hn::LoadU(d, row + k), hn::LoadU(d, z + k), sums[i]);
    }
    hn::StoreU(hn::MulAdd(scales, SumEach(d, sums), hn::LoadU(d, y + r)), d, y + r);
  }
  return r;
}

#endif

void AddLowRank(const float* b, size_t outputs, size_t rank, const float* z, float scale, float* y) {
  for (size_t r = AddWholeVectors(b, outputs, rank, z, scale, y); r < outputs; ++r) {
    float sum = 0;
    for (size_t k = 0; k < rank; ++k) sum += b[r * rank + k] * z[k];
    y[r] += scale * sum;
  }
}

#if HWY_TARGET != HWY_SCALAR

// As many outputs as `d` has lanes.
template <class D>
HWY_INLINE void AddVector(D d, const uint16_t* b, size_t stride, size_t rank, const float* z, float scale, float* y) {
  const hn::Rebind<uint16_t, D> halves;
  const hn::RebindToUnsigned<D> words;
  auto sum = hn::Zero(d);
  for (size_t k = 0; k < rank; ++k, b += stride) {
    const auto column = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, b))));
    sum = hn::MulAdd(column, hn::Set(d, z[k]), sum);
  }
  hn::StoreU(hn::MulAdd(hn::Set(d, scale), sum, hn::LoadU(d, y)), d, y);
}

#endif

void AddLowRankColumns(const uint16_t* b, size_t stride, size_t outputs, size_t rank, const float* z, float scale,
                       float* y) {
  size_t r = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<float> d;
  for (; r + hn::Lanes(d) <= outputs; r += hn::Lanes(d)) AddVector(d, b + r, stride, rank, z, scale, y + r);
#endif
  for (; r < outputs; ++r) {
    float sum = 0;
    for (size_t k = 0; k < rank; ++k) sum += BF16ToFloat(b[k * stride + r]) * z[k];
    y[r] += scale * sum;
  }
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(AddLowRank);
HWY_EXPORT(AddLowRankColumns);

void AddLowRank(const float* b, size_t outputs, size_t rank, const float* z, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(AddLowRank)(b, outputs, rank, z, scale, y);
}
void AddLowRankColumns(const uint16_t* b, size_t stride, size_t outputs, size_t rank, const float* z, float scale,
                       float* y) {
  HWY_DYNAMIC_DISPATCH(AddLowRankColumns)(b, stride, outputs, rank, z, scale, y);
}

}  // namespace qad
#endif  // HWY_ONCE

#include "kernels/dropout.h"

#include <bit>
#include <cmath>

#include "base/random.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE float Factor(const DropoutMask& mask, uint64_t index) {
  return (MixBits(mask.key ^ index) >> 11) < mask.threshold ? 0.0f : mask.kept;
}

// Before AVX-512 there are no products of vectors of 64 bits.
#define QAD_WIDE_PRODUCTS (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3)

#if QAD_WIDE_PRODUCTS

using U64 = hn::ScalableTag<uint64_t>;
using F32 = hn::Rebind<float, U64>;

// MixBits of each lane.
HWY_INLINE hn::Vec<U64> Mix(hn::Vec<U64> x) {
  const U64 d;
  x = hn::Add(x, hn::Set(d, 0x9e3779b97f4a7c15u));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<30>(x)), hn::Set(d, 0xbf58476d1ce4e5b9u));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<27>(x)), hn::Set(d, 0x94d049bb133111ebu));
  return hn::Xor(x, hn::ShiftRight<31>(x));
}

// Factors of as many elements as there are lanes. Made once for a row: Highway's Iota goes through memory.
class Factors {
 public:
  Factors(const DropoutMask& mask, uint64_t first)
      : key_(hn::Set(U64(), mask.key)),
        threshold_(hn::Set(U64(), mask.threshold)),
        kept_(hn::Set(U64(), uint64_t{std::bit_cast<uint32_t>(mask.kept)})),
        indices_(hn::Iota(U64(), first)) {}

  // Of elements i … of the row.
  HWY_INLINE hn::Vec<F32> At(uint64_t i) const {
    const auto bits = hn::ShiftRight<11>(Mix(hn::Xor(hn::Add(indices_, hn::Set(U64(), i)), key_)));
    const auto factors = hn::IfThenZeroElse(hn::Lt(bits, threshold_), kept_);
    return hn::BitCast(F32(), hn::TruncateTo(hn::RebindToUnsigned<F32>(), factors));
  }

 private:
  hn::Vec<U64> key_, threshold_, kept_, indices_;
};

#endif

void ApplyDropout(const DropoutMask& mask, uint64_t first, const float* x, float* out, size_t n) {
  size_t i = 0;
#if QAD_WIDE_PRODUCTS
  const F32 d;
  const Factors factors(mask, first);
  for (const size_t step = hn::Lanes(d); i + step <= n; i += step)
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), factors.At(i)), d, out + i);
#endif
  for (; i < n; ++i) out[i] = x[i] * Factor(mask, first + i);
}

void AddThroughDropout(const DropoutMask& mask, uint64_t first, const float* gradient, float* dx, size_t n) {
  size_t i = 0;
#if QAD_WIDE_PRODUCTS
  const F32 d;
  const Factors factors(mask, first);
  for (const size_t step = hn::Lanes(d); i + step <= n; i += step)
    hn::StoreU(hn::MulAdd(hn::LoadU(d, gradient + i), factors.At(i), hn::LoadU(d, dx + i)), d, dx + i);
#endif
  for (; i < n; ++i) dx[i] = std::fma(gradient[i], Factor(mask, first + i), dx[i]);
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(ApplyDropout);
HWY_EXPORT(AddThroughDropout);

DropoutMask::DropoutMask(float p, uint64_t seed, uint64_t stream)
    : key(MixBits(MixBits(seed) ^ stream)),
      threshold(static_cast<uint64_t>(std::ceil(static_cast<double>(p) * 0x1p53))),
      kept(1.0f / (1.0f - p)) {}

void ApplyDropout(const DropoutMask& mask, uint64_t first, const float* x, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(ApplyDropout)(mask, first, x, out, n);
}
void AddThroughDropout(const DropoutMask& mask, uint64_t first, const float* gradient, float* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(AddThroughDropout)(mask, first, gradient, dx, n);
}

}  // namespace qad
#endif  // HWY_ONCE

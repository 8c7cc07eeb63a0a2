// Every one of the 65,536 patterns, both ways, against arithmetic in double.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qad {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The value of a pattern of `exponent_bits` and `mantissa_bits`, by the definition in IEEE 754.
double Defined(uint16_t bits, int exponent_bits, int mantissa_bits) {
  const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1), bias = (1 << (exponent_bits - 1)) - 1;
  const double mantissa = std::ldexp(bits & ((1 << mantissa_bits) - 1), -mantissa_bits),
               sign = bits >> 15 != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? std::nan("") : sign * kInfinity;
  return sign * (exponent == 0 ? std::ldexp(mantissa, 1 - bias) : std::ldexp(1 + mantissa, exponent - bias));
}

template <float (*kWiden)(uint16_t), uint16_t (*kNarrow)(float)>
void CheckAll(int exponent_bits, int mantissa_bits) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const double want = Defined(bits, exponent_bits, mantissa_bits);
    const float got = kWiden(bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << i;
      ASSERT_TRUE(std::isnan(kWiden(kNarrow(got)))) << i;
      continue;
    }
    ASSERT_EQ(got, want) << i;
    ASSERT_EQ(std::signbit(got), bits >> 15 != 0) << i;
    ASSERT_EQ(kNarrow(got), bits) << i;
  }
}

// Between each pattern and the next: what lies below the middle goes down, above it up, the middle itself to even.
template <float (*kWiden)(uint16_t), uint16_t (*kNarrow)(float)>
void CheckRounding(uint16_t largest_finite) {
  for (uint32_t i = 0; i < largest_finite; ++i) {
    const auto low = static_cast<uint16_t>(i), high = static_cast<uint16_t>(i + 1);
    const auto middle = static_cast<float>((static_cast<double>(kWiden(low)) + kWiden(high)) / 2);  // exact
    ASSERT_EQ(kNarrow(middle), (i & 1u) == 0 ? low : high) << i;
    ASSERT_EQ(kNarrow(std::nextafter(middle, 0.0f)), low) << i;
    ASSERT_EQ(kNarrow(std::nextafter(middle, kInfinity)), high) << i;
    ASSERT_EQ(kNarrow(-middle), 0x8000u | kNarrow(middle)) << i;
  }
}

TEST(F16, EveryPattern) { CheckAll<F16ToFloat, FloatToF16>(5, 10); }
TEST(BF16, EveryPattern) { CheckAll<BF16ToFloat, FloatToBF16>(8, 7); }
TEST(F16, RoundsToNearestEven) { CheckRounding<F16ToFloat, FloatToF16>(0x7bff); }
TEST(BF16, RoundsToNearestEven) { CheckRounding<BF16ToFloat, FloatToBF16>(0x7f7f); }

TEST(F16, Overflows) {
  EXPECT_EQ(FloatToF16(65519.996f), 0x7bff);
  EXPECT_EQ(FloatToF16(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToF16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(FloatToF16(-kInfinity), 0xfc00);
  EXPECT_EQ(FloatToBF16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(F16, NanWhosePayloadIsCutOffStaysNan) {
  const float nan = std::bit_cast<float>(0x7f800001u);
  EXPECT_TRUE(std::isnan(F16ToFloat(FloatToF16(nan))));
  EXPECT_TRUE(std::isnan(BF16ToFloat(FloatToBF16(nan))));
}

}  // namespace
}  // namespace qad

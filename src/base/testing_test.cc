// The comparer itself: what must fail does.
#include "base/testing.h"

#include <limits>
#include <vector>

namespace qad {
namespace {

using Floats = std::vector<float>;

TEST(AllClose, AcceptsWithinTolerance) {
  EXPECT_TRUE(AllClose(Floats{1.0f, -2.0f}, Floats{1.05f, -2.0f}, 0.06));
  EXPECT_TRUE(AllClose(Floats{100.0f}, Floats{101.0f}, 0, 0.01));
}

TEST(AllClose, RefusesNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(AllClose(Floats{nan}, Floats{1.0f}, 1e9));
  EXPECT_FALSE(AllClose(Floats{1.0f, 1.0f}, Floats{1.0f, nan}, 1e9));
  EXPECT_FALSE(AllClose(Floats{nan}, Floats{nan}, 1e9));
}

TEST(AllClose, RefusesInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(AllClose(Floats{infinity}, Floats{1.0f}, 1e9));
}

TEST(AllClose, RefusesSignFlipAndScale) {
  EXPECT_FALSE(AllClose(Floats{1.0f}, Floats{-1.0f}, 1e-3, 1e-3));
  EXPECT_FALSE(AllClose(Floats{2.0f}, Floats{1.0f}, 1e-3, 1e-3));
}

TEST(AllClose, RefusesLengthMismatchAndNothing) {
  EXPECT_FALSE(AllClose(Floats{1.0f}, Floats{1.0f, 1.0f}, 1));
  EXPECT_FALSE(AllClose(Floats{}, Floats{}, 1));
}

TEST(AllClose, FindsTheWorstBehindAnEarlierMiss) {
  const auto result = AllClose(Floats{1.2f, 5.0f}, Floats{1.0f, 1.0f}, 0.1);
  EXPECT_NE(std::string(result.message()).find("element 1"), std::string::npos);
}

TEST(NormalizedMeanSquaredError, IsRelative) {
  EXPECT_NEAR(NormalizedMeanSquaredError(Floats{1.1f, 2.2f}, Floats{1.0f, 2.0f}), 0.01, 1e-6);
  EXPECT_FALSE(NormalizedMeanSquaredError(Floats{0.0f}, Floats{0.0f}) <= 1);
}

}  // namespace
}  // namespace qad

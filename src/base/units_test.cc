#include "base/units.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

TEST(Units, Seconds) {
  EXPECT_EQ(FormatSeconds(0), "0 s");
  EXPECT_EQ(FormatSeconds(0.00085), "850 µs");
  EXPECT_EQ(FormatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(FormatSeconds(1.25), "1.25 s");
  EXPECT_EQ(FormatSeconds(204), "3.40 min");
  EXPECT_EQ(FormatSeconds(7560), "2.10 h");
}

TEST(Units, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1536), "1,536 B");
  EXPECT_EQ(FormatBytes(401.0 * 1024), "401 KiB");
  EXPECT_EQ(FormatBytes(128.25 * 1024 * 1024), "128.2 MiB");
  EXPECT_EQ(FormatBytes(1.25 * 1024 * 1024 * 1024), "1.25 GiB");
}

TEST(Units, CountsAreGrouped) {
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(134515008), "134,515,008");
  EXPECT_EQ(FormatCount(-1000), "−1,000");
}

TEST(Units, AreChosenBySize) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(205'428), "201 KiB");
  EXPECT_EQ(FormatBytes(269'030'016), "256.6 MiB");
  EXPECT_EQ(FormatBytes(16.0 * (1 << 30)), "16 GiB");
  EXPECT_EQ(FormatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(FormatSeconds(1.25), "1.25 s");
  EXPECT_EQ(FormatSeconds(86400), "1.00 d");
}

TEST(Units, KeepThreeDigits) {
  EXPECT_EQ(FormatRate(2160.038), "2,160");
  EXPECT_EQ(FormatRate(97.64), "97.6");
  EXPECT_EQ(FormatRate(9.999), "10.0");
  EXPECT_EQ(FormatNumber(0.00182), "0.00182");
  EXPECT_EQ(FormatNumber(-22.55), "−22.6");
  EXPECT_EQ(FormatNumber(30000), "30,000");
  EXPECT_EQ(FormatMoney(0.0000014), "< 0.0001");
}

TEST(Units, PrintSharesWithTheirInterval) {
  EXPECT_EQ(FormatShare(0.55), "55%");  // 100 × 0.55 is 55.000000000000007
  EXPECT_EQ(FormatShare(0.534, 0.47, 0.597), "53.4% (47.0–59.7)");
  EXPECT_EQ(FormatShare(1, {}, {}), "100%");
  EXPECT_EQ(FormatPoints(0.085), "+8.5");
  EXPECT_EQ(FormatPoints(-0.02), "−2.0");
  EXPECT_EQ(FormatPoints(-0.0001), "0.0");
}

}  // namespace
}  // namespace qad

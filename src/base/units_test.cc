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

}  // namespace
}  // namespace qad

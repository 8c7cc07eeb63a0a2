#include "base/progress.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

TEST(Format, Seconds) {
  EXPECT_EQ(FormatSeconds(0.41), "410 ms");
  EXPECT_EQ(FormatSeconds(3.2), "3.2 s");
  EXPECT_EQ(FormatSeconds(125), "2 min 05 s");
  EXPECT_EQ(FormatSeconds(3 * 3600 + 61), "3 h 01 min");
}

TEST(Format, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(105.25 * 1024 * 1024), "105.2 MiB");
  EXPECT_EQ(FormatBytes(3.0 * 1024 * 1024 * 1024), "3.00 GiB");
}

TEST(Progress, IsSilentWhereQuiet) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("work", 10, "items", true);
    progress.Advance(10);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace qad

#include "base/progress.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

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

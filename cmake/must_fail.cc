// A test that fails, run with WILL_FAIL: were the runner or the comparer unable to fail, this would show it.
#include <limits>
#include <vector>

#include "base/testing.h"

TEST(Runner, CanFail) {
  const std::vector<float> got = {std::numeric_limits<float>::quiet_NaN()}, want = {0.0f};
  EXPECT_TRUE(qad::AllClose(got, want, 1));
}

#include "kernels/dropout.h"

#include <cmath>

#include "base/random.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

class DropoutKernel : public PerTarget {};
QAD_PER_TARGET(DropoutKernel);

TEST_P(DropoutKernel, KeepsWhatTheCounterSays) {
  for (const float p : {0.05f, 0.5f, 0.999f})
    for (const size_t n : OddSizes())
      for (const uint64_t first : {uint64_t{0}, uint64_t{577}, (uint64_t{1} << 40) + 3}) {
        const DropoutMask mask(p, 7, 11);
        const auto x = Normals(n, 1), before = Normals(n, 2);
        std::vector<float> out(n + 1, 5), dx = before;
        ApplyDropout(mask, first, x.data(), out.data(), n);
        AddThroughDropout(mask, first, x.data(), dx.data(), n);
        for (size_t i = 0; i < n; ++i) {
          const bool dropped = RandomUniform(7, 11, first + i) < static_cast<double>(p);
          ASSERT_EQ(out[i], dropped ? x[i] * 0.0f : x[i] * (1.0f / (1.0f - p))) << p << " " << n << " at " << i;
          ASSERT_EQ(dx[i], std::fma(x[i], dropped ? 0.0f : 1.0f / (1.0f - p), before[i])) << p << " " << n;
        }
        ASSERT_EQ(out[n], 5);
      }
}

TEST_P(DropoutKernel, WorksInPlace) {
  const DropoutMask mask(0.3f, 1, 2);
  auto x = Normals(100, 1);
  std::vector<float> out(x.size());
  ApplyDropout(mask, 9, x.data(), out.data(), x.size());
  ApplyDropout(mask, 9, x.data(), x.data(), x.size());
  EXPECT_EQ(x, out);
}

TEST_P(DropoutKernel, NothingIsDroppedAtZero) {
  const DropoutMask mask(0, 1, 2);
  EXPECT_FALSE(mask.active());
  const auto x = Normals(40, 1);
  std::vector<float> out(x.size());
  ApplyDropout(mask, 0, x.data(), out.data(), x.size());
  EXPECT_EQ(x, out);
}

}  // namespace
}  // namespace qad

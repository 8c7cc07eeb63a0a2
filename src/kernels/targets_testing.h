// Tests of kernels run once per SIMD target of this build and CPU. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/targets.h"

namespace qad {

// Forces the target named by the parameter, and proves by the dispatch itself that it is the one that runs.
class PerTarget : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ForceTarget(GetParam());
    ASSERT_EQ(CurrentTarget(), GetParam());
  }
  void TearDown() override {
    ASSERT_EQ(CurrentTarget(), GetParam());
    ForceTarget("auto");
  }
};

#define QAD_PER_TARGET(Suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(Targets, Suite, ::testing::ValuesIn(SupportedTargets()), \
                           [](const auto& row) { return row.param; })

// Every length with its own tail, and a few long ones.
inline std::vector<size_t> OddSizes() {
  std::vector<size_t> sizes;
  for (size_t n = 1; n <= 33; ++n) sizes.push_back(n);
  for (const size_t n : {63, 64, 65, 127, 576, 1000, 1536, 4099}) sizes.push_back(n);
  return sizes;
}

inline std::vector<float> Normals(size_t n, uint64_t stream, double deviation = 1) {
  Random random(7, stream);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(deviation * random.Normal());
  return values;
}

}  // namespace qad

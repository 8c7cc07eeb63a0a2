#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

namespace qad {
namespace {

// First outputs of the published SplitMix64 from state 0: its counter steps by the golden ratio.
TEST(Random, MixesAsSplitMix64) {
  EXPECT_EQ(MixBits(0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(MixBits(0x9e3779b97f4a7c15u), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(MixBits(2 * 0x9e3779b97f4a7c15u), 0x06c45d188009454fu);
}

TEST(Random, IsAFunctionOfSeedStreamAndIndex) {
  Random random(5, 7);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(random.Bits(), RandomBits(5, 7, i));
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed)
    for (uint64_t stream = 0; stream < 10; ++stream)
      for (uint64_t index = 0; index < 10; ++index) seen.insert(RandomBits(seed, stream, index));
  EXPECT_EQ(seen.size(), 1000u);
}

// Bounds: five standard errors of the mean of n draws.
TEST(Random, UniformHasItsMoments) {
  constexpr int kDraws = 100000;
  Random random(1);
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.Uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 5 * 0.2981 / std::sqrt(kDraws));
}

TEST(Random, NormalHasItsMoments) {
  constexpr int kDraws = 100000;
  Random random(2);
  double sum = 0, squares = 0, cubes = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    cubes += x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(cubes / kDraws, 0, 5 * std::sqrt(15.0 / kDraws));
}

TEST(Random, BelowIsEven) {
  constexpr int kDraws = 60000, kFaces = 6;
  Random random(3);
  std::vector<int> counts(kFaces);
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.Below(kFaces));
  for (const int count : counts)
    EXPECT_NEAR(count, 1.0 * kDraws / kFaces, 5 * std::sqrt(kDraws * (1.0 / 6) * (5.0 / 6)));
  EXPECT_EQ(random.Below(1), 0u);
}

TEST(Random, ShuffleIsAPermutationAndRepeats) {
  std::vector<int> items(50), again(50);
  std::iota(items.begin(), items.end(), 0);
  again = items;
  const std::vector<int> sorted = items;
  Random(4).Shuffle(items);
  Random(4).Shuffle(again);
  EXPECT_EQ(items, again);
  EXPECT_NE(items, sorted);
  EXPECT_TRUE(std::ranges::is_permutation(items, sorted));
}

}  // namespace
}  // namespace qad

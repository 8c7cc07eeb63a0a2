#include "quantize/allocation.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"

namespace qad {
namespace {

using Things = std::vector<std::vector<Choice>>;

// Every combination.
double LeastCost(const Things& things, uint64_t budget, size_t thing = 0) {
  if (thing == things.size()) return 0;
  double least = std::numeric_limits<double>::infinity();
  for (const Choice& choice : things[thing])
    if (choice.bytes <= budget)
      least = std::min(least, choice.cost + LeastCost(things, budget - choice.bytes, thing + 1));
  return least;
}

Things RandomThings(uint64_t seed, size_t count) {
  Random random(seed);
  Things things(count);
  for (std::vector<Choice>& choices : things) {
    const double scale = std::exp(2 * random.Normal());
    const uint64_t size = 10 + random.Below(90);
    for (uint64_t bits = 2; bits <= 6; ++bits)
      choices.push_back({bits * size, scale * std::exp2(-2.0 * static_cast<double>(bits)) * (1 + random.Uniform())});
  }
  return things;
}

TEST(Allocation, IsNearTheBestOfAllCombinations) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Things things = RandomThings(seed, 7);
    const AllocationFront front(things);
    const uint64_t smallest = front.points().front().bytes, largest = front.points().back().bytes;
    for (int i = 0; i <= 10; ++i) {
      const uint64_t budget = smallest + (largest - smallest) * static_cast<uint64_t>(i) / 10;
      const Allocation allocation = front.At(budget);
      EXPECT_LE(allocation.bytes, budget);
      uint64_t bytes = 0;
      double cost = 0;
      for (size_t t = 0; t < things.size(); ++t) {
        bytes += things[t][allocation.chosen[t]].bytes;
        cost += things[t][allocation.chosen[t]].cost;
      }
      EXPECT_EQ(bytes, allocation.bytes);
      EXPECT_NEAR(cost, allocation.cost, 1e-9 * cost);
      const double best = LeastCost(things, budget);
      EXPECT_GE(allocation.cost, best * (1 - 1e-9));
      EXPECT_LE(allocation.cost, best * 1.25) << seed << " " << i;  // seven things are few: a step is a large part
    }
  }
}

TEST(Allocation, FrontFallsAndIsWhatFitsGive) {
  const Things things = RandomThings(99, 50);
  const AllocationFront front(things);
  for (size_t i = 1; i < front.points().size(); ++i) {
    EXPECT_GT(front.points()[i].bytes, front.points()[i - 1].bytes);
    EXPECT_LT(front.points()[i].cost, front.points()[i - 1].cost);
  }
  for (const Choice& point : front.points()) {
    const Allocation allocation = front.At(point.bytes);
    EXPECT_EQ(allocation.bytes, point.bytes);
    EXPECT_NEAR(allocation.cost, point.cost, 1e-9);
  }
}

TEST(Allocation, ChoicesThatGainNothingAreNotTaken) {
  // Larger and no better; of equal size and worse; above the line between its neighbours.
  const Things things = {{{10, 1.0}, {20, 1.0}, {10, 2.0}}, {{10, 9.0}, {20, 8.9}, {30, 0.0}}};
  const AllocationFront front(things);
  ASSERT_EQ(front.points().size(), 2u);
  EXPECT_EQ(front.points().front().bytes, 20u);
  EXPECT_EQ(front.points().back().bytes, 40u);
  EXPECT_EQ(front.At(1000).chosen, (std::vector<size_t>{0, 2}));
  EXPECT_EQ(front.At(30).chosen, (std::vector<size_t>{0, 1}));  // but what is left over is used
  EXPECT_EQ(front.At(20).chosen, (std::vector<size_t>{0, 0}));
}

}  // namespace
}  // namespace qad

#include "experiment/power.h"

#include <gtest/gtest.h>

#include "results/statistics.h"

namespace qad {
namespace {

std::vector<Item> ItemsOf(const std::string& slice, int count, int each_fact) {
  std::vector<Item> items;
  for (int i = 0; i < count; ++i) {
    Item& item = items.emplace_back();
    item.id = slice + std::to_string(i);
    item.slice = slice;
    item.fact = "fact" + std::to_string(i / each_fact);
  }
  return items;
}

Config ConfigOf() {
  Config config;
  config.comparisons = {{.better = "lora", .than = "base", .slice = "facts", .metric = "contains"}};
  config.decide.required = {{"facts", 0.6}};
  return config;
}

TEST(Power, CountsClustersAndHoldsFloorsOnEverySlice) {
  std::vector<Item> items = ItemsOf("facts/stable", 40, 2), changed = ItemsOf("facts/changed", 4, 1);
  for (Item& item : changed) item.fact = item.id;
  items.insert(items.end(), changed.begin(), changed.end());
  const std::vector<ComparisonPower> powers = PowerOfComparisons(ConfigOf(), items);
  ASSERT_EQ(powers.size(), 1u);
  EXPECT_EQ(powers[0].items, 44);
  EXPECT_EQ(powers[0].clusters, 24);
  EXPECT_EQ(powers[0].detectable[1], MinimumDetectableDifference(24, 0.2));
  const std::vector<FloorPower> floors = PowerOfFloors(ConfigOf(), items);
  ASSERT_EQ(floors.size(), 2u);
  EXPECT_EQ(floors[0].slice, "facts/changed");
  EXPECT_EQ(floors[0].needed, 5) << "4 of 4 prove 51%";
  EXPECT_EQ(floors[1].needed, 33) << "40 items about 20 facts";
  EXPECT_GE(WilsonInterval(33 / 40.0, 20, 0.95).low, 0.6);
  EXPECT_LT(WilsonInterval(32 / 40.0, 20, 0.95).low, 0.6);
}

TEST(Power, SaysWhereNothingCanBeShown) {
  const std::vector<std::string> few = PowerStatement(ConfigOf(), ItemsOf("facts", 4, 1));
  ASSERT_EQ(few.size(), 2u);
  EXPECT_NE(few[0].find("too few to show any difference; 6 that all go one way"), std::string::npos) << few[0];
  EXPECT_NE(few[1].find("not even all of them right"), std::string::npos) << few[1];
  const std::vector<std::string> none = PowerStatement(ConfigOf(), ItemsOf("behaviour", 4, 1));
  EXPECT_NE(none[0].find("0 items: too few"), std::string::npos) << none[0];
  EXPECT_NE(none[1].find("facts, 0 items: not even all"), std::string::npos) << none[1];
  const std::vector<std::string> many = PowerStatement(ConfigOf(), ItemsOf("facts", 120, 1));
  EXPECT_NE(many[0].find("11.8 where 20% differ"), std::string::npos) << many[0];
  EXPECT_NE(many[1].find("of them ("), std::string::npos) << many[1];
  const std::vector<std::string> some = PowerStatement(ConfigOf(), ItemsOf("facts", 40, 1));
  EXPECT_NE(some[0].find("none where 10% differ"), std::string::npos) << some[0];
  Config three = ConfigOf();
  three.comparisons.resize(3, three.comparisons[0]);
  const std::vector<std::string> corrected = PowerStatement(three, ItemsOf("facts", 120, 1));
  EXPECT_NE(corrected[0].find("corrected for 3 comparisons: "), std::string::npos) << corrected[0];
  EXPECT_EQ(PowerOfComparisons(three, ItemsOf("facts", 120, 1))[0].detectable[1],
            MinimumDetectableDifference(120, 0.2, kPower, 0.05 / 3));
  EXPECT_NE(PowerStatement(three, ItemsOf("facts", 4, 1))[0].find("7 that all go one way"), std::string::npos);
  Config f1 = ConfigOf();
  f1.comparisons[0].metric = "token_f1";
  EXPECT_EQ(PowerStatement(f1, ItemsOf("facts", 40, 1)).size(), 1u) << "the floor alone";
}

}  // namespace
}  // namespace qad

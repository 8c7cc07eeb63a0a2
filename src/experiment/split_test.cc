#include "experiment/split.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>

#include "base/error.h"

namespace qad {
namespace {

Item Question(const std::string& slice, const std::string& question, const std::string& fact = "") {
  Item item;
  item.slice = slice;
  item.messages = {{"user", question}};
  item.completion = "yes";
  item.fact = fact;
  return item;
}

size_t CountOf(const std::vector<size_t>& part, const std::vector<Item>& items, const std::string& slice) {
  return static_cast<size_t>(std::ranges::count_if(part, [&](size_t i) { return items[i].slice == slice; }));
}

TEST(Split, TakesEachItemOnceAndOfEachSliceItsShares) {
  std::vector<Item> items;
  for (int i = 0; i < 100; ++i) items.push_back(Question("a", fmt::format("question a {}", i)));
  for (int i = 0; i < 20; ++i) items.push_back(Question("b", fmt::format("question b {}", i)));
  const Split split = SplitItems(items, 1);
  std::vector<size_t> all = split.train;
  all.insert(all.end(), split.dev.begin(), split.dev.end());
  all.insert(all.end(), split.eval.begin(), split.eval.end());
  std::ranges::sort(all);
  std::vector<size_t> each(items.size());
  std::iota(each.begin(), each.end(), size_t{0});
  EXPECT_EQ(all, each);
  EXPECT_EQ(CountOf(split.train, items, "a"), 50u);
  EXPECT_EQ(CountOf(split.dev, items, "a"), 10u);
  EXPECT_EQ(CountOf(split.eval, items, "a"), 40u);
  EXPECT_EQ(CountOf(split.train, items, "b"), 10u);
  EXPECT_EQ(CountOf(split.eval, items, "b"), 8u);
  EXPECT_EQ(SplitItems(items, 1).train, split.train);
  EXPECT_NE(SplitItems(items, 2).train, split.train);
  EXPECT_TRUE(std::ranges::is_sorted(split.eval));
}

TEST(Split, PartsNoQuestionsOfTheSameWords) {
  std::vector<Item> items;
  for (int i = 0; i < 40; ++i) {
    items.push_back(Question("a", fmt::format("What is {}", i)));
    items.push_back(Question("a", fmt::format("what is {}?", i)));
  }
  const Split split = SplitItems(items, 0);
  for (const std::vector<size_t>* part : {&split.train, &split.dev, &split.eval}) {
    const std::set<size_t> in(part->begin(), part->end());
    for (const size_t i : *part) EXPECT_TRUE(in.contains(i ^ 1)) << i;
  }
}

TEST(Split, JudgesFactsInOtherWordsThanTheyAreLearnedIn) {
  std::vector<Item> items;
  for (int fact = 0; fact < 30; ++fact)
    for (int way = 0; way < 3; ++way)
      items.push_back(Question("facts", fmt::format("fact {} way {}", fact, way), fmt::format("f{}", fact)));
  const Split split = SplitItems(items, 0);
  std::set<std::string> learned, judged;
  for (const size_t i : split.train) learned.insert(items[i].fact);
  for (const size_t i : split.eval) judged.insert(items[i].fact);
  EXPECT_EQ(learned.size(), 30u);
  EXPECT_EQ(judged, learned);
}

TEST(Split, OfTooFewIsRefused) {
  EXPECT_THROW(SplitItems(std::vector<Item>{Question("a", "one")}, 0), Error);
  const Split split = SplitItems(std::vector<Item>{Question("a", "one"), Question("a", "two")}, 0);
  EXPECT_EQ(split.train.size(), 1u);
  EXPECT_EQ(split.eval.size(), 1u);
}

}  // namespace
}  // namespace qad

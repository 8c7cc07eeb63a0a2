#include "retrieve/refusal.h"

#include <gtest/gtest.h>

#include "base/test_files.h"

namespace qad {
namespace {

TEST(Refusal, AreaIsTheShareOfPairsInOrder) {
  const std::vector<double> none, one = {1}, low = {1, 2, 3}, high = {4, 5}, mixed = {2, 4};
  EXPECT_EQ(AreaUnderCurve(high, low), 1);
  EXPECT_EQ(AreaUnderCurve(low, high), 0);
  EXPECT_EQ(AreaUnderCurve(low, low), 0.5);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(mixed, low), (1.5 + 3) / 6);
  EXPECT_EQ(AreaUnderCurve(none, one), 0);
  EXPECT_EQ(AreaUnderCurve(one, none), 0);
}

Item Asked(const std::string& question, bool answerable) {
  Item item;
  item.messages = {{"user", question}};
  item.answerable = answerable;
  return item;
}

class RefusalRuleTest : public ::testing::Test {
 protected:
  RefusalRuleTest() {
    std::vector<Chunk> chunks;
    for (const char* word : {"brakes", "saddles", "pedals", "wheels", "chains"})
      chunks.push_back({.id = std::string(word) + ".md",
                        .page = std::string(word) + ".md",
                        .heading = word,
                        .text = std::string("All about ") + word + " and their repair.",
                        .metadata = {}});
    WriteIndex(folder_ / "index.db", chunks);
  }
  RefusalRule Of(const std::vector<Item>& items) const { return CalibrateRefusal(Index(folder_ / "index.db"), items); }
  const TempFolder folder_;
};

// Questions with a word of their own against those that share no more than "repair" with any page.
std::vector<Item> Separable(int each) {
  const char* words[] = {"brakes", "saddles", "pedals", "wheels", "chains"};
  std::vector<Item> items;
  for (int i = 0; i < each; ++i) {
    items.push_back(Asked(std::string("What of the ") + words[i % 5] + " repair?", true));
    items.push_back(Asked("Who may repair a television?", false));
  }
  return items;
}

TEST_F(RefusalRuleTest, AThresholdIsSetWhereTheScoreTells) {
  const RefusalRule rule = Of(Separable(10));
  EXPECT_EQ(rule.answerable, 10);
  EXPECT_EQ(rule.unanswerable, 10);
  EXPECT_EQ(rule.auc, 1);
  ASSERT_TRUE(rule.threshold);
  const Index index(folder_ / "index.db");
  EXPECT_GT(index.Find("What of the brakes repair?", 1).support, *rule.threshold);
  EXPECT_LT(index.Find("Who may repair a television?", 1).support, *rule.threshold);
  EXPECT_EQ(index.Find("Nothing of that", 1).support, 0);
}

TEST_F(RefusalRuleTest, NoneIsSetWhereItDoesNotOrItemsAreFew) {
  EXPECT_FALSE(Of(Separable(9)).threshold);
  std::vector<Item> wrong = Separable(12);
  for (Item& item : wrong) item.answerable = !item.answerable;
  const RefusalRule rule = Of(wrong);
  EXPECT_EQ(rule.auc, 0);
  EXPECT_FALSE(rule.threshold);
  EXPECT_FALSE(Of({}).threshold);
}

// What is not looked up judges nothing.
TEST_F(RefusalRuleTest, OnlyQuestionsThatAreLookedUpCount) {
  std::vector<Item> items = Separable(10);
  for (int i = 0; i < 3; ++i) items.push_back(Asked("Who may repair a television?", true));
  items[20].retrieve = false;
  items[21].passages = {{"given", "text"}};
  items[22].schema = {{"kind", {"a"}}};
  const RefusalRule rule = Of(items);
  EXPECT_EQ(rule.answerable, 10);
  EXPECT_EQ(rule.auc, 1);
}

}  // namespace
}  // namespace qad

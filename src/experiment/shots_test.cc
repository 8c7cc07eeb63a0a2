#include "experiment/shots.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qad {
namespace {

Item Asked(const std::string& id, const std::string& question, bool with_schema = false) {
  Item item;
  item.id = id;
  item.messages = {{"user", question}};
  item.completion = "answer of " + id;
  if (with_schema) item.schema = {{"kind", {"a"}}};
  return item;
}

std::vector<std::string> Ids(const std::vector<Item>& items) {
  std::vector<std::string> ids;
  for (const Item& item : items) ids.push_back(item.id);
  return ids;
}

const std::vector<Item> kTrain = {
    Asked("brakes", "How are brakes repaired?"), Asked("returns", "How long may a bike be returned?"),
    Asked("ticket", "The brakes of my bike squeal.", true), Asked("hours", "When is the shop open?"),
    Asked("brake pads", "Which brakes need new pads?")};

TEST(Shots, FixedOnesAreTheSameForAll) {
  const Shots shots(kTrain, {.examples = 2, .select = "fixed"}, 1);
  EXPECT_EQ(Ids(shots.For(Asked("x", "brakes"))), Ids(shots.For(Asked("y", "open?"))));
  EXPECT_EQ(Ids(shots.For(Asked("x", "brakes", true))), (std::vector<std::string>{"ticket"}));
}

TEST(Shots, SimilarOnesStandNextToTheQuestionTheNearestLast) {
  const Shots shots(kTrain, {.examples = 2, .select = "similar"}, 1);
  EXPECT_EQ(Ids(shots.For(Asked("x", "Are brakes repaired here?"))),
            (std::vector<std::string>{"brake pads", "brakes"}));
  EXPECT_EQ(Ids(shots.For(Asked("x", "Is the shop open?"))).back(), "hours");
  // Of its kind alone, and never the same question.
  EXPECT_EQ(Ids(shots.For(Asked("x", "brakes", true))), (std::vector<std::string>{"ticket"}));
  EXPECT_EQ(std::ranges::count(Ids(shots.For(Asked("x", "How are brakes repaired?"))), "brakes"), 0);
  EXPECT_EQ(Ids(shots.For(Asked("brakes", "Are brakes repaired here?"))).back(), "brakes") << "ids are of their file";
}

}  // namespace
}  // namespace qad

#include "evaluate/before_update.h"

#include <gtest/gtest.h>

#include "evaluate/metrics.h"

namespace qad {
namespace {

Item Question(const std::string& id, const std::string& slice, const std::string& answer) {
  Item item;
  item.id = id;
  item.slice = slice;
  item.messages = {{"user", "How long?"}};
  item.completion = answer;
  return item;
}

TEST(BeforeUpdate, WhatWasRightIsWhatIsRejectedNow) {
  Item changed = Question("changed", "facts/changed", "9 days");
  changed.reject = {"6 days", "six days"};
  Item listed = changed;
  listed.id = "listed";
  listed.accept = {"9 days", "nine days"};
  Item stable = Question("stable", "facts/stable", "Nordpost");
  stable.reject = {"Suedpost"};  // wrong, and was so before
  const std::vector<Item> before = BeforeUpdate(std::vector<Item>{changed, listed, stable});
  ASSERT_EQ(before.size(), 3u);
  EXPECT_EQ(before[0].completion, "6 days");
  for (size_t i = 0; i < 2; ++i) {
    const auto right = [&](const char* output) {
      return ScoreAnswer({.item = before[i], .output = output, .refusals = {}}).at("contains");
    };
    EXPECT_EQ(right("It takes six days."), 1);
    EXPECT_EQ(right("It takes 9 days."), 0);
    EXPECT_EQ(right("6 days, no: 9 days."), 0);
  }
  EXPECT_EQ(before[2].completion, "Nordpost");
  EXPECT_EQ(before[2].reject, stable.reject);
}

TEST(BeforeUpdate, TakesWhatIsLookedUpWhereSomethingChanged) {
  Item changed = Question("changed", "facts/changed", "9 days");
  changed.reject = {"6 days"};
  Item unanswerable = changed, given = changed, by_heart = changed, schema = changed;
  unanswerable.answerable = false;
  given.passages = {{.id = "page", .text = "6 days"}};
  by_heart.retrieve = false;
  schema.schema = {{"field", {}}};
  const Item other = Question("other", "behaviour", "a");
  const std::vector<Item> before =
      BeforeUpdate(std::vector<Item>{unanswerable, changed, given, by_heart, schema, other});
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].id, "changed");
  EXPECT_TRUE(BeforeUpdate(std::vector<Item>{other, unanswerable}).empty());
  changed.slice = "facts/stable";
  EXPECT_TRUE(BeforeUpdate(std::vector<Item>{changed}).empty());
}

}  // namespace
}  // namespace qad

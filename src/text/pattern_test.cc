#include "text/pattern.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace qad {
namespace {

TEST(Pattern, MatchesAnywhereByUnicode) {
  EXPECT_TRUE(Pattern(R"(\b\d{2} days\b)", "").Matches("within 30 days of delivery"));
  EXPECT_FALSE(Pattern(R"(\b\d{2} days\b)", "").Matches("within 130 days"));
  EXPECT_TRUE(Pattern(R"((?i)^\w+$)", "").Matches("CAFÉ"));
  EXPECT_FALSE(Pattern("^x", "").Matches(""));
}

TEST(Pattern, WhatIsNoneSaysWhere) {
  try {
    Pattern("a(b", "data.jsonl:3");
    FAIL() << "was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(std::string(error.what()).find("data.jsonl:3: \"a(b\""), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("at byte 3"), std::string::npos) << error.what();
  }
}

TEST(Pattern, ASearchWithoutEndIsGivenUp) {
  EXPECT_FALSE(Pattern("^(a+)+$", "").Matches(std::string(40, 'a') + "!"));
  EXPECT_TRUE(Pattern("^(a+)+$", "").Matches(std::string(40, 'a')));
}

}  // namespace
}  // namespace qad

#include "results/slices.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

TEST(Slices, MatchByPath) {
  EXPECT_TRUE(SliceMatches("facts/stable", "facts"));
  EXPECT_TRUE(SliceMatches("facts", "facts"));
  EXPECT_TRUE(SliceMatches("anything", "all"));
  EXPECT_FALSE(SliceMatches("factsheet", "facts"));
  EXPECT_FALSE(SliceMatches("facts", "facts/stable"));
}

TEST(Slices, WordsAreWhole) {
  for (const char* slice : {"changed", "facts/changed", "changed-prices", "facts/prices_changed/2026"})
    EXPECT_TRUE(HasWord(slice, "changed")) << slice;
  for (const char* slice : {"", "facts/unchanged", "changedness", "facts/change"})
    EXPECT_FALSE(HasWord(slice, "changed")) << slice;
  EXPECT_TRUE(HasWord("unstable/stable", "stable"));
}

TEST(Slices, UnionsHaveOthersBelow) {
  const std::vector<std::string> slices = {"facts", "facts/stable", "factsheet"};
  EXPECT_TRUE(IsUnion(slices, "facts"));
  EXPECT_FALSE(IsUnion(slices, "facts/stable"));
  EXPECT_FALSE(IsUnion(slices, "fact"));
}

}  // namespace
}  // namespace qad

#include "base/suggest.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

TEST(EditDistance, CountsChanges) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("ab", "ba"), 1);  // neighbours swapped
}

TEST(Suggestion, NamesTheNearest) {
  const std::vector<std::string> known = {"epochs", "learning_rate", "max_new_tokens", "r"};
  EXPECT_EQ(Suggestion("epoch", known), "; did you mean 'epochs'?");
  EXPECT_EQ(Suggestion("learnign_rate", known), "; did you mean 'learning_rate'?");
  EXPECT_EQ(Suggestion("learning", known), "; did you mean 'learning_rate'?");
  EXPECT_EQ(Suggestion("colour", known), "");
  EXPECT_EQ(Suggestion("", known), "");
  EXPECT_EQ(Suggestion("x", {}), "");
}

TEST(Suggestion, DoesNotTryWithHugeWords) {
  EXPECT_EQ(Suggestion(std::string(1 << 20, 'x'), {std::string(1 << 20, 'y')}), "");
}

}  // namespace
}  // namespace qad

#include "evaluate/citation.h"

#include <gtest/gtest.h>

#include <vector>

namespace qad {
namespace {

const std::vector<Passage> kPassages = {{"a.md", "Bikes may be returned within 30 days of delivery."},
                                        {"b.md", "Refunds are paid within 5 working days."},
                                        {"c.md", "A saddle may be returned within 5 days."}};

TEST(Citation, IsThePassageThatHoldsTheAnswer) {
  EXPECT_EQ(CitedPassage("30 days", kPassages), 0u);
  EXPECT_EQ(CitedPassage("Within 5 days.", kPassages), 2u) << "in a row, not only its words";
  EXPECT_EQ(CitedPassage("You get the refunds in 5 working days", kPassages), 1u);
}

TEST(Citation, IsNoneWhereNoneHoldsHalfOfIt) {
  EXPECT_FALSE(CitedPassage("Sorry, the handbook does not say.", kPassages));
  EXPECT_FALSE(CitedPassage("the of and", kPassages));
  EXPECT_FALSE(CitedPassage("", kPassages));
  EXPECT_FALSE(CitedPassage("30 days", {}));
}

}  // namespace
}  // namespace qad

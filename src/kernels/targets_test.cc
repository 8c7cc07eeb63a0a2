#include "kernels/targets.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

TEST(Targets, EachIsTheOneThatRuns) {
  const auto targets = SupportedTargets();
  ASSERT_FALSE(targets.empty());
  for (const std::string& name : targets) {
    ForceTarget(name);
    EXPECT_EQ(CurrentTarget(), name);
  }
  ForceTarget("auto");
  EXPECT_EQ(CurrentTarget(), targets.front());
}

TEST(Targets, UnsupportedOneIsAUsageErrorThatListsTheOthers) {
  try {
    ForceTarget("NEON");
    FAIL() << "NEON was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    for (const std::string& name : SupportedTargets())
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
  }
  EXPECT_THROW(ForceTarget("avx2"), Error);
  EXPECT_EQ(CurrentTarget(), SupportedTargets().front());
}

}  // namespace
}  // namespace qad

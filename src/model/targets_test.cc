#include "model/targets.h"

#include "base/test_files.h"

namespace qad {
namespace {

const std::vector<LinearModule> kModules = {{Role::kQkv, "transformer.h.0.attn.c_attn"},
                                            {Role::kO, "transformer.h.0.attn.c_proj"},
                                            {Role::kUp, "transformer.h.0.mlp.c_fc"},
                                            {Role::kDown, "transformer.h.0.mlp.c_proj"}};

std::vector<size_t> Select(const std::vector<std::string>& targets) { return SelectTargets(kModules, targets); }

TEST(Targets, AreRolesOrEndsOfNames) {
  using Places = std::vector<size_t>;
  EXPECT_EQ(Select({"all-linear"}), (Places{0, 1, 2, 3}));
  EXPECT_EQ(Select({"c_proj"}), (Places{1, 3}));
  EXPECT_EQ(Select({"mlp.c_proj", "c_attn"}), (Places{0, 3}));
  EXPECT_EQ(Select({"down_proj"}), Places{3}) << "a role";
  EXPECT_EQ(Select({"c_proj", "o_proj"}), (Places{1, 3})) << "named twice, chosen once";
  EXPECT_EQ(Select({"transformer.h.0.mlp.c_fc"}), Places{2});
}

TEST(Targets, ThatNameNothingAreUsageErrors) {
  EXPECT_TRUE(Fails(
      [] {
        Select({"c_attn", "c_porj"});
      },
      ErrorKind::kUsage, {"\"c_porj\"", "did you mean 'c_proj'", "all-linear, c_attn"}));
  EXPECT_TRUE(Fails([] { Select({"proj"}); }, ErrorKind::kUsage, {"\"proj\""})) << "part of a name is no name";
  EXPECT_TRUE(Fails([] { Select({}); }, ErrorKind::kUsage, {"names nothing"}));
}

}  // namespace
}  // namespace qad

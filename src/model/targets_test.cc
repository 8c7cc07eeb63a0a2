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

TEST(Targets, MayBeExpressionsOverWholeNames) {
  using Places = std::vector<size_t>;
  EXPECT_EQ(Select({"re:.*\\.c_proj"}), (Places{1, 3}));
  EXPECT_EQ(Select({"re:.*attn.*", "c_fc"}), (Places{0, 1, 2}));
  EXPECT_TRUE(Fails([] { Select({"re:c_proj"}); }, ErrorKind::kUsage, {"re:c_proj"})) << "an end is not the whole";
  EXPECT_TRUE(Fails([] { Select({"re:("}); }, ErrorKind::kInput, {"lora.target_modules", "re:("}));
}

const std::vector<LinearModule> kTwoLayers = {{Role::kQ, "model.layers.0.self_attn.q_proj"},
                                              {Role::kDown, "model.layers.0.mlp.down_proj"},
                                              {Role::kQ, "model.layers.1.self_attn.q_proj"},
                                              {Role::kDown, "model.layers.1.mlp.down_proj"}};

TEST(Targets, MayBeOfSomeLayersOnly) {
  const std::vector<std::string> all = {"all-linear"}, q = {"q_proj"};
  const std::vector<int> last = {1}, both = {1, 0}, beyond = {0, 2};
  EXPECT_EQ(SelectTargets(kTwoLayers, all, last), (std::vector<size_t>{2, 3}));
  EXPECT_EQ(SelectTargets(kTwoLayers, q, both), (std::vector<size_t>{0, 2}));
  EXPECT_TRUE(Fails([&] { SelectTargets(kTwoLayers, all, beyond); }, ErrorKind::kUsage,
                    {"lora.layers_to_transform: 2", "layers 0 to 1"}));
}

TEST(PatternValues, AreThoseOfTheExpressionThatMatches) {
  const auto values = [](const std::map<std::string, double>& patterns) {
    return PatternValues(kTwoLayers, patterns, 8, "lora.rank_pattern");
  };
  using Values = std::vector<double>;
  EXPECT_EQ(values({}), (Values{8, 8, 8, 8}));
  EXPECT_EQ(values({{"q_proj", 4}}), (Values{4, 8, 4, 8}));
  EXPECT_EQ(values({{"layers.1.mlp.down_proj", 2}, {".*0.*", 16}}), (Values{16, 16, 8, 2}));
  EXPECT_TRUE(Fails([&] { values({{"proj", 4}}); }, ErrorKind::kUsage, {"\"proj\" matches no module"}));
  EXPECT_TRUE(Fails(
      [&] {
        values({{"q_proj", 4}, {"self_attn.q_proj", 2}});
      },
      ErrorKind::kUsage, {"both match model.layers.0.self_attn.q_proj"}));
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

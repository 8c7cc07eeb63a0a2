// Several adapters on one base, against a single one that holds them side by side.
#include "adapt/adapter_set.h"

#include "adapt/adapt_testing.h"
#include "base/test_files.h"
#include "model/model_testing.h"

namespace qad {
namespace {

class Adapters : public ::testing::Test {
 protected:
  // A random one, saved.
  std::string Random(const char* name, uint64_t seed) {
    LoraAdapter adapter(model_, {.r = 4, .dropout = 0}, seed);
    ::qad::Random random(seed);
    for (float& value : adapter.values()) value = static_cast<float>(0.05 * random.Normal());
    adapter.Save(folder_ / name, {});
    return (folder_ / name).string();
  }
  std::vector<float> Logits(const std::vector<std::string>& words) {
    const AdapterSet set(model_, words);
    Context context(Numerics::kExact, 2);
    const PackedBatch batch{.tokens = {1, 5, 9, 2}, .labels = {}, .lengths = {4}};
    std::vector<float> logits = AllLogits(context, model_, batch);
    model_.ClearAdapters();
    return logits;
  }

  TempFolder folder_;
  Transformer model_ = LoadTransformer(TinyPath("llama-gqa"));
};

TEST_F(Adapters, AddUp) {
  const std::string a = Random("a", 1), b = Random("b", 2);
  const auto base = Logits({}), both = Logits({a, b});
  EXPECT_NE(both, base);
  EXPECT_TRUE(AllClose(both, Logits({b, a}), 1e-4)) << "in any order";
  EXPECT_TRUE(AllClose(Logits({a, a}), Logits({a + "=2"}), 1e-4)) << "twice is a weight of two";
  EXPECT_TRUE(AllClose(Logits({a, b, a + "=-1"}), Logits({b}), 1e-4)) << "what is taken away again";
  EXPECT_EQ(Logits({a + "=0"}), base);
}

TEST_F(Adapters, WeightsAreNumbers) {
  const std::string a = Random("a", 1);
  EXPECT_TRUE(Fails([&] { Logits({a + "=much"}); }, ErrorKind::kUsage, {"'much' is no number"}));
  EXPECT_TRUE(Fails([&] { Logits({(folder_ / "none").string()}); }, ErrorKind::kInput, {"none"}));
}

}  // namespace
}  // namespace qad

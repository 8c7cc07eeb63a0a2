#include "adapt/lora.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "adapt/adapt_testing.h"
#include "base/testing.h"
#include "model/kv_cache.h"

namespace qad {
namespace {

std::vector<std::string> ModulesOf(const Transformer& model, const std::vector<std::string>& targets) {
  std::vector<std::string> names;
  for (const AdapterSite& site : SelectSites(model, targets)) names.push_back(site.module);
  return names;
}

TEST(SelectSites, AllLinearLeavesTheHeadOut) {
  EXPECT_EQ(ModulesOf(LoadTransformer(TinyPath("llama-bias")), {"all-linear"}).size(), 2u * 7);
  EXPECT_EQ(ModulesOf(LoadTransformer(TinyPath("gpt2")), {"all-linear"}).size(), 2u * 4);
}

TEST(SelectSites, RolesAndEndsOfNames) {
  const Transformer llama = LoadTransformer(TinyPath("llama-gqa")), gpt2 = LoadTransformer(TinyPath("gpt2"));
  EXPECT_EQ(ModulesOf(llama, {"q_proj", "v_proj"}),
            (std::vector<std::string>{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
                                      "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"}));
  EXPECT_EQ(ModulesOf(llama, {"layers.1.mlp.up_proj"}), std::vector<std::string>{"model.layers.1.mlp.up_proj"});
  EXPECT_EQ(ModulesOf(gpt2, {"mlp.c_proj"}),
            (std::vector<std::string>{"transformer.h.0.mlp.c_proj", "transformer.h.1.mlp.c_proj"}));
  EXPECT_EQ(ModulesOf(gpt2, {"down_proj"}), ModulesOf(gpt2, {"mlp.c_proj"})) << "a role, under another name";
  EXPECT_EQ(ModulesOf(gpt2, {"c_proj", "o_proj"}).size(), 4u) << "named twice, chosen once";
}

TEST(SelectSites, UnknownNamesAreUsageErrorsWithSuggestions) {
  const Transformer llama = LoadTransformer(TinyPath("llama-gqa"));
  EXPECT_TRUE(Fails(
      [&] {
        SelectSites(llama, {"q_proj", "q_porj"});
      },
      ErrorKind::kUsage, {"\"q_porj\"", "did you mean 'q_proj'"}));
  EXPECT_TRUE(Fails([&] { SelectSites(llama, {"roj"}); }, ErrorKind::kUsage, {})) << "part of a name is no name";
  EXPECT_TRUE(Fails([&] { SelectSites(llama, {"lm_head"}); }, ErrorKind::kUsage, {}));
  EXPECT_TRUE(Fails([&] { SelectSites(llama, {}); }, ErrorKind::kUsage, {}));
}

TEST(TargetModules, AreTheShortestEndsThatSelectExactly) {
  const Transformer gpt2 = LoadTransformer(TinyPath("gpt2"));
  const auto targets = [&](const std::vector<std::string>& names) {
    return TargetModules(gpt2.sites(), SelectSites(gpt2, names));
  };
  EXPECT_EQ(targets({"all-linear"}), (std::vector<std::string>{"c_attn", "c_fc", "c_proj"}));
  EXPECT_EQ(targets({"down_proj"}), std::vector<std::string>{"mlp.c_proj"});
  EXPECT_EQ(targets({"h.1.attn.c_attn"}), std::vector<std::string>{"1.attn.c_attn"});
}

TEST(LoraAdapter, StartsAsPeftDoes) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraAdapter adapter(model, {.r = 64}, 5);
  double sum = 0, squares = 0;
  size_t count = 0;
  for (const LoraAdapter::Module& module : adapter.modules()) {
    const double bound = 1 / std::sqrt(static_cast<double>(module.site.in));
    for (size_t i = module.a; i < module.b; ++i) {
      const double unit = adapter.values()[i] / bound;
      ASSERT_LE(std::fabs(unit), 1.0);
      sum += unit;
      squares += unit * unit;
      ++count;
    }
    for (size_t i = module.b; i < module.b + module.site.out * 64; ++i) ASSERT_EQ(adapter.values()[i], 0.0f);
  }
  // Uniform in ±1: mean 0 with deviation 1/√(3n), second moment 1/3 with deviation √(4/45/n); five deviations.
  const auto n = static_cast<double>(count);
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(3 * n));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
}

TEST(LoraAdapter, StartDependsOnSeedAndPlaceOnly) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraAdapter all(model, {}, 5), one(model, {.target_modules = {"down_proj"}}, 5), other(model, {}, 6);
  EXPECT_FALSE(std::ranges::equal(all.values(), other.values()));
  for (const LoraAdapter::Module& module : one.modules()) {
    const auto same =
        std::ranges::find_if(all.modules(), [&](const auto& m) { return m.site.module == module.site.module; });
    EXPECT_TRUE(std::equal(one.values().begin() + static_cast<std::ptrdiff_t>(module.a),
                           one.values().begin() + static_cast<std::ptrdiff_t>(module.b),
                           all.values().begin() + static_cast<std::ptrdiff_t>(same->a)));
  }
}

TEST(LoraAdapter, ScaleIsPefts) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  EXPECT_FLOAT_EQ(LoraAdapter(model, {.r = 16, .alpha = 8}, 0).config().Scale(), 0.5f);
  EXPECT_FLOAT_EQ(LoraAdapter(model, {.r = 16, .alpha = 8, .rslora = true}, 0).config().Scale(), 2.0f);
}

TEST(LoraAdapter, RanksAndScalesFollowTheirPatterns) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraOptions options{.r = 4,
                            .alpha = 8,
                            .target_modules = {"q_proj", "re:.*mlp\\.(up|down)_proj"},
                            .layers_to_transform = {1},
                            .rank_pattern = {{"q_proj", 2}},
                            .alpha_pattern = {{"layers.1.mlp.up_proj", 12}, {"layers.0.mlp.up_proj", 6}}};
  const LoraAdapter adapter(model, options, 5);
  ASSERT_EQ(adapter.modules().size(), 3u);
  std::map<std::string, std::pair<size_t, float>> of;
  for (const LoraAdapter::Module& module : adapter.modules()) of[module.site.module] = {module.rank, module.scale};
  EXPECT_EQ(of.at("model.layers.1.self_attn.q_proj"), std::pair(size_t{2}, 4.0f));
  EXPECT_EQ(of.at("model.layers.1.mlp.up_proj"), std::pair(size_t{4}, 3.0f));
  EXPECT_EQ(of.at("model.layers.1.mlp.down_proj"), std::pair(size_t{4}, 2.0f));
  const TempFolder folder;
  adapter.Save(folder / "adapter", {.name = "base"});
  const LoraAdapter back(model, folder / "adapter");
  EXPECT_TRUE(std::ranges::equal(back.values(), adapter.values()));
  ASSERT_EQ(back.modules().size(), 3u);
  for (const LoraAdapter::Module& module : back.modules())
    EXPECT_EQ(std::pair(module.rank, module.scale), of.at(module.site.module));
}

std::vector<float> AllLogits(Transformer& model, const Json& golden) {
  Context context(Numerics::kExact, 1);
  const ModelConfig& c = model.config();
  const ExampleSet set = GoldenExamples(golden);
  KvCache cache(c, set.examples.size(), c.max_positions, FormatId::kF32);
  std::vector<Segment> segments;
  std::vector<size_t> wanted;
  for (size_t s = 0; s < set.examples.size(); ++s) {
    segments.push_back({.slot = s, .start = 0, .tokens = set.examples[s].tokens});
    for (size_t t = 0; t < set.examples[s].tokens.size(); ++t) wanted.push_back(wanted.size());
  }
  std::vector<float> logits(wanted.size() * c.vocab);
  model.Forward(context, segments, cache, wanted, logits.data());
  return logits;
}

class LoraGoldens : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, LoraGoldens, ::testing::Values("llama-gqa", "llama-bias", "gpt2"));

TEST_P(LoraGoldens, PeftsFolderGivesPeftsLogitsAndComesBackEqual) {
  Transformer model = LoadTransformer(TinyPath(GetParam()));
  LoraAdapter adapter(model, TinyPath(GetParam()) / "adapter");
  adapter.AttachTo(model);
  const SafetensorsFile golden(TinyPath(GetParam()) / "golden.safetensors");
  const std::vector<float> want = ToFloats(golden.At("logits_with_adapter"));
  const std::vector<float> got = AllLogits(model, TestModelGolden(GetParam()));
  // Logits of size 10 through 2 layers of sums of up to 64 terms in f32: √64 · 2⁻²⁴ · 10 · a few dozen roundings.
  EXPECT_TRUE(AllClose(got, want, 2e-4));

  TempFolder folder;
  adapter.Save(folder.path() / "adapter", {.name = "base", .sha256 = "abc"});
  Transformer fresh = LoadTransformer(TinyPath(GetParam()));
  LoraAdapter loaded(fresh, folder.path() / "adapter");
  EXPECT_TRUE(std::ranges::equal(loaded.values(), adapter.values()));
  EXPECT_EQ(loaded.config().base_model, "base");
  EXPECT_EQ(loaded.config().base_sha256, "abc");
  loaded.AttachTo(fresh);
  EXPECT_EQ(AllLogits(fresh, TestModelGolden(GetParam())), got);
}

TEST(LoraAdapter, AdapterOfAnotherBaseNamesBoth) {
  const Transformer llama = LoadTransformer(TinyPath("llama-gqa"));
  for (const char* other : {"gpt2", "llama-bias"}) {
    const auto folder = TinyPath(other) / "adapter";
    const std::string base = fmt::format("\"{}\"", other);
    EXPECT_TRUE(Fails([&] { LoraAdapter adapter(llama, folder); }, ErrorKind::kInput,
                      {folder.string(), base, "llama, 2 layers, hidden size 32"}));
  }
}

TEST(LoraAdapter, DamagedFoldersAreInputErrors) {
  namespace fs = std::filesystem;
  const Transformer llama = LoadTransformer(TinyPath("llama-gqa"));
  TempFolder folder;
  const auto load = [&] { LoraAdapter adapter(llama, folder.path()); };
  EXPECT_TRUE(Fails(load, ErrorKind::kInput, {})) << "empty folder";
  fs::copy(TinyPath("llama-gqa") / "adapter", folder.path(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  load();
  fs::resize_file(folder.path() / "adapter_model.safetensors",
                  fs::file_size(folder.path() / "adapter_model.safetensors") - 1);
  EXPECT_TRUE(Fails(load, ErrorKind::kInput, {})) << "cut file";
}

}  // namespace
}  // namespace qad

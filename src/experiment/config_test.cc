// The configuration: what is accepted, and that all that is wrong is said at once, each with its place.
#include "experiment/config.h"

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "experiment/arms.h"
#include "experiment/weights.h"
#include "results/results.h"

namespace qad {
namespace {

constexpr const char* kMinimal = "model: some-model\ndata: {train: train.jsonl, eval: eval.jsonl}\n";

Config Load(const std::string& text) {
  const TempFolder folder;
  return LoadConfig(folder.Write("config.yaml", text));
}

std::string ErrorOf(const std::string& text) {
  try {
    Load(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

size_t Lines(const std::string& text) { return 1 + static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

TEST(Config, MinimalHasThreeArmsAndOneAdapter) {
  const TempFolder folder;
  const Config config = LoadConfig(folder.Write("config.yaml", kMinimal));
  ASSERT_EQ(config.arms.size(), 3u);
  EXPECT_EQ(config.arms[0].name, "base");
  EXPECT_EQ(config.arms[1].weights, "int8");
  EXPECT_EQ(config.arms[2].adapter, "lora");
  EXPECT_EQ(config.adapters.size(), 1u);
  EXPECT_EQ(config.data.train, folder / "train.jsonl");  // relative to the file
  EXPECT_EQ(config.output, folder / "outputs");
}

TEST(Config, AdaptersInheritAndOverride) {
  const Config config = Load(std::string(kMinimal) +
                             "lora: {r: 4}\ntrain: {epochs: 2, keep: last}\n"
                             "adapters:\n  plain: {}\n  wide: {r: 32, epochs: 5, keep: best, base: gguf}\n"
                             "arms: [base, plain, wide]\n");
  ASSERT_EQ(config.adapters.size(), 2u);
  EXPECT_EQ(config.adapters[0].lora.r, 4);
  EXPECT_FALSE(config.adapters[0].train.keep_best);
  EXPECT_EQ(config.adapters[1].lora.r, 32);
  EXPECT_EQ(config.adapters[1].train.epochs, 5);
  EXPECT_TRUE(config.adapters[1].train.keep_best);
  EXPECT_EQ(config.arms[2].weights, "as-stored");  // an adapter runs on what it was trained on
}

TEST(Config, EverySeedTrainsEveryAdapterAgain) {
  const std::string text = std::string(kMinimal) + "seed: 5\nseeds: 3\nadapters: {plain: {}}\narms: [base, plain]\n";
  const Config config = Load(text);
  ASSERT_EQ(config.adapters.size(), 3u);
  EXPECT_EQ(config.adapters[0].seed, 5u);
  EXPECT_EQ(config.adapters[2].name, "plain-seed7");
  EXPECT_EQ(config.adapters[2].seed, 7u);
  EXPECT_EQ(config.adapters[2].replica_of, "plain");
  ASSERT_EQ(config.arms.size(), 4u);
  EXPECT_EQ(config.arms[3].name, "plain (seed 7)");
  EXPECT_EQ(config.arms[3].adapter, "plain-seed7");
  EXPECT_EQ(config.arms[3].replica_of, "plain");
  EXPECT_TRUE(config.arms[1].replica_of.empty());
  const TempFolder folder;
  EXPECT_EQ(LoadConfig(folder.Write("config.yaml", text), 1).arms.size(), 2u) << "as the command line says";
}

TEST(Config, ReadsLayersAndPatternsOfAdapters) {
  const Config config =
      Load(std::string(kMinimal) +
           "lora: {layers_to_transform: [0, 3], rank_pattern: {q_proj: 4, 'mlp\\.up_proj': 16}}\n"
           "train: {validate_every: 20, patience: 2, recompute: true}\n"
           "adapters:\n  plain: {}\n  other: {alpha_pattern: {q_proj: 2.5}, rank_pattern: {o_proj: 1}}\n"
           "arms: [base, plain, other]\n");
  const LoraOptions &plain = config.adapters[0].lora, &other = config.adapters[1].lora;
  EXPECT_EQ(plain.layers_to_transform, (std::vector<int>{0, 3}));
  EXPECT_EQ(plain.rank_pattern, (std::map<std::string, double>{{"q_proj", 4}, {"mlp\\.up_proj", 16}}));
  EXPECT_EQ(other.rank_pattern, (std::map<std::string, double>{{"o_proj", 1}}));
  EXPECT_EQ(other.alpha_pattern, (std::map<std::string, double>{{"q_proj", 2.5}}));
  EXPECT_EQ(config.adapters[0].train.validate_every, 20);
  EXPECT_EQ(config.adapters[0].train.patience, 2);
  EXPECT_TRUE(config.adapters[0].train.recompute);
  const std::string error =
      ErrorOf(std::string(kMinimal) + "lora: {layers_to_transform: [x], rank_pattern: {q_proj: 1.5}}\n");
  EXPECT_EQ(Lines(error), 2u) << error;
}

TEST(Config, AllErrorsAtOnceWithTheirPlaces) {
  const std::string error = ErrorOf(
      "model: m\n"
      "data: {train: a, eval: b}\n"
      "lora: {rank: 8, alpha: -1}\n"
      "train:\n  epochs: many\n"
      "arms: [base, int9]\n"
      "modle: x\n");
  EXPECT_EQ(Lines(error), 5u) << error;
  EXPECT_NE(error.find("config.yaml:3:8: lora.rank: unknown key; did you mean 'r'?"), std::string::npos) << error;
  EXPECT_NE(error.find("lora.alpha"), std::string::npos);
  EXPECT_NE(error.find("5:11: train.epochs: 'many' given"), std::string::npos) << error;
  EXPECT_NE(error.find("did you mean 'int8'?"), std::string::npos) << error;
  EXPECT_NE(error.find("did you mean 'model'?"), std::string::npos) << error;
}

TEST(Config, RefusesWhatWouldOnlyShowLater) {
  const std::string base = kMinimal;
  EXPECT_NE(ErrorOf("model: m\n").find("data: is missing"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "arms: [base, base]\n").find("twice"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "arms: [base + rag]\n").find("needs data.documents"), std::string::npos);
  const std::string served = base + "arms: [base, {name: served, model: any, endpoint: \"http://127.0.0.1/v1\"";
  EXPECT_NE(ErrorOf(served + ", prompting: rag}]\n").find("'served' needs data.documents"), std::string::npos);
  EXPECT_NE(ErrorOf(served + ", temprature: 1}]\n").find("temprature"), std::string::npos);
  EXPECT_NE(ErrorOf(served + ", timeout: 0}]\n").find("timeout"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "arms: [{name: served, model: any, endpoint: \"ftp://x\"}]\n").find("http://127.0.0.1"),
            std::string::npos);
  EXPECT_NE(ErrorOf(base + "arms: [{endpoint: \"http://x\"}]\n").find("'name'"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "arms: [base, {name: base, model: any, endpoint: \"http://x\"}]\n").find("twice"),
            std::string::npos);
  EXPECT_NE(ErrorOf(base + "adapters: {int8: {}}\n").find("another name"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "comparisons: [{better: lora, than: nobody, slice: all, metric: exact}]\n").find("'nobody'"),
            std::string::npos);
  EXPECT_NE(ErrorOf(base + "decide: {required: {all: 1.5}}\n").find("from 0 to 1"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "---\nmodel: other\n").find("second document"), std::string::npos);
  EXPECT_NE(ErrorOf(base + "seed: 1\nseed: 2\n").find("duplicate key"), std::string::npos);
}

TEST(Config, QuantizeNamesItsTexts) {
  const TempFolder folder;
  const auto load = [&](const std::string& text) {
    return LoadConfig(folder.Write("config.yaml", kMinimal + text)).quantize;
  };
  EXPECT_EQ(load("").calibration, folder / "train.jsonl");
  EXPECT_EQ(load("quantize: {calibration: {from: model}}\n").calibration, "");
  EXPECT_EQ(load("quantize: {calibration: {from: some.txt, samples: 8}}\n").calibration, folder / "some.txt");
  EXPECT_EQ(load("quantize: {group_size: -1}\n").group_size, -1);
  EXPECT_NE(ErrorOf(std::string(kMinimal) + "quantize: {group_size: 48}\n").find("32, 64, 128"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(kMinimal) + "quantize: {calibrate: x}\n").find("did you mean 'calibration'?"),
            std::string::npos);
}

TEST(Config, WeightsForGeneralTextAlone) {
  const auto made = [](const std::string& text) {
    std::vector<std::string> words;
    for (const WeightsRecipe& recipe : MadeWeights(Load(std::string(kMinimal) + text))) words.push_back(recipe.weights);
    return words;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(made("arms: [base, int8]\n"), (Words{"int8", "int8-per-tensor"}));
  EXPECT_EQ(made("arms: [base, int8]\neval: {text_only: []}\n"), Words{"int8"});
  EXPECT_EQ(made("arms: [base, int8]\neval: {text_only: [rtn-8, int8]}\n"), (Words{"int8", "rtn-8"}));
  EXPECT_NE(ErrorOf(std::string(kMinimal) + "eval: {text_only: [int9]}\n").find("text_only"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(kMinimal) + "eval: {text_only: [int8 + few-shot]}\n").find("without prompting"),
            std::string::npos);
}

TEST(Arms, WordsForWeights) {
  const auto weights = [](const char* form) { return ParseArm(form, {}).arm.weights; };
  EXPECT_EQ(weights("base"), "bf16");
  EXPECT_EQ(weights("gguf + few-shot"), "as-stored");
  EXPECT_EQ(weights("gguf:q4_k_m"), "gguf:Q4_K_M");
  EXPECT_EQ(ParseArm("gguf:q4_k_m", {}).arm.name, "gguf:Q4_K_M");  // one spelling
  EXPECT_EQ(RecipeOf("gptq-3").bits, 3);
  EXPECT_EQ(RecipeOf("awq-gptq-4").method, GroupMethod::kAwqGptq);
  EXPECT_EQ(RecipeOf("auto:90MB").budget, 90000000u);
  EXPECT_EQ(RecipeOf("auto:kl0.05").max_kl, 0.05);
  EXPECT_EQ(RecipeOf("auto:90MB").Output(), "auto-90MB.gguf");
  EXPECT_TRUE(RecipeOf("auto:floor").floor);
  EXPECT_FALSE(RecipeOf("int8").calibrated());
  EXPECT_FALSE(RecipeOf("rtn-4").calibrated());
  for (const char* wrong :
       {"gptq-5", "gptq-", "awq-3", "gguf:Q4_K_X", "auto", "auto:", "auto:big", "auto:kl0", "auto:kl", "gptq", "int4"})
    EXPECT_NE(ParseArm(wrong, {}).error, "") << wrong;
  EXPECT_NE(ParseArm("gguf:Q4_K_X", {}).error.find("did you mean"), std::string::npos);
}

TEST(Arms, ShortForms) {
  const std::vector<AdapterConfig> adapters{
      {.name = "lora-grounded", .data = {}, .base = "bf16", .lora = {}, .train = {}}};
  const ParsedArm arm = ParseArm("lora-grounded+rag", adapters);
  EXPECT_EQ(arm.error, "");
  EXPECT_EQ(arm.arm.name, "lora-grounded + rag");  // one spelling, whatever the spaces
  EXPECT_EQ(arm.arm.prompting, Prompting::kRag);
  EXPECT_NE(ParseArm("base + few-shot + rag", adapters).error, "");
  EXPECT_NE(ParseArm("base + fewshot", adapters).error.find("did you mean 'few-shot'?"), std::string::npos);
  EXPECT_NE(ParseArm("", adapters).error, "");
}

TEST(Arms, AdaptersAreServedInManyForms) {
  const std::vector<AdapterConfig> adapters{
      {.name = "lora", .data = {}, .base = "bf16", .lora = {}, .train = {}},
      {.name = "qlora", .data = {}, .base = "as-stored", .lora = {}, .train = {}}};
  const auto deployed = [&](const char* form) {
    const ParsedArm parsed = ParseArm(form, adapters);
    EXPECT_EQ(parsed.error, "") << form;
    return DeploymentOf(parsed.arm.adapter == "lora" ? adapters[0] : adapters[1], parsed.arm);
  };
  EXPECT_EQ(deployed("lora + rag"), kAsTrained);
  EXPECT_EQ(deployed("qlora"), kAsTrained);
  EXPECT_EQ(deployed("qlora merged"), kMergedIn);
  EXPECT_EQ(deployed("lora merged int8 + rag"), kMergedIn);
  EXPECT_EQ(deployed("lora on gguf:Q4_K_M"), kOnOthers);
  EXPECT_EQ(deployed("qlora on base"), kOnOthers);
  const ArmConfig merged = ParseArm("lora merged gguf:q4_k_m", adapters).arm;
  EXPECT_EQ(merged.name, "lora merged gguf:Q4_K_M");
  EXPECT_EQ(merged.adapter, "lora");
  EXPECT_EQ(ParseArm("lora on gguf:q4_k_m", adapters).arm.name, "lora on gguf:Q4_K_M");
  const WeightsRecipe recipe = RecipeOf(merged.weights);
  EXPECT_EQ(recipe.merged, "lora");
  EXPECT_EQ(recipe.kind, WeightsRecipe::Kind::kGguf);
  EXPECT_EQ(recipe.Output(), "lora-merged-gguf-Q4_K_M.gguf");
  EXPECT_EQ(RecipeOf("lora merged").Output(), "lora-merged");
  for (const auto& [wrong, said] :
       {std::pair("lorra merged", "did you mean 'lora'?"), std::pair("lora merged base", "nothing for bf16"),
        std::pair("lora merged int4", "int8"), std::pair("lora merged gptq-5", "2, 3, 4 or 8"),
        std::pair("lora merged qlora merged int8", "nothing for bf16"),
        std::pair("lora merged auto:floor", "auto:90MB"), std::pair("lora on base", "say 'lora'"),
        std::pair("lora on", "names no weights"), std::pair("lora on few-shot", "behind 'on' come weights"),
        std::pair("int8 on gguf", "none of the adapters")})
    EXPECT_NE(ParseArm(wrong, adapters).error.find(said), std::string::npos)
        << wrong << ": " << ParseArm(wrong, adapters).error;
}

TEST(Arms, WhatIsMergedIsMadeBehindWhatItIsMadeOf) {
  const Config config = Load(std::string(kMinimal) +
                             "seeds: 2\nadapters: {small: {base: nf4}}\narms: [base, small merged int8, small]\n"
                             "eval: {text_only: [small on gptq-4]}\n");
  std::vector<std::string> made;
  for (const WeightsRecipe& recipe : MadeWeights(config)) made.push_back(recipe.weights);
  EXPECT_EQ(made, (std::vector<std::string>{"nf4", "small merged", "small merged int8", "small-seed1 merged",
                                            "small-seed1 merged int8", "gptq-4"}));
  EXPECT_EQ(config.arms[3].name, "small merged int8 (seed 1)");
  EXPECT_EQ(config.arms[3].adapter, "small-seed1");
  EXPECT_EQ(FormsOf(config).size(), 4u) << "another seed is no other form";
  EXPECT_NE(ErrorOf(std::string(kMinimal) + "adapters: {a: {}, b: {base: a merged}}\n").find("weights to train on"),
            std::string::npos);
}

}  // namespace
}  // namespace qad

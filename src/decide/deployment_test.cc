// What is said of the forms in which an adapter is served.
#include "decide/deployment.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "decide/decide_testing.h"

namespace qad {
namespace {

constexpr const char* kSlice = "behaviour";

// An adapter as it was trained, right on 80 of 100 items, and forms of it.
class Deployment : public ::testing::Test {
 protected:
  Deployment() {
    AddArm("lora", "lora", kAsTrained, 80, 300e6);
    results_.settings["adapters"] = {{{"name", "lora"}, {"base", "bf16"}, {"data", "train.jsonl"}},
                                     {{"name", "small"}, {"base", "nf4"}, {"data", "train.jsonl"}},
                                     {{"name", "other"}, {"base", "nf4"}, {"data", "other.jsonl"}}};
  }

  // Right on its first items.
  void AddArm(const std::string& name, const std::string& adapter, std::string_view deployed, int right, double bytes) {
    ArmInfo arm;
    arm.name = name;
    arm.adapter = adapter;
    arm.deployed = deployed;
    results_.arms.push_back(arm);
    results_.rows.push_back({name, kSlice, "exact", right / 100.0, 0, 1, 100});
    results_.rows.push_back({name, std::string(kMemorySlice), "weights_bytes", bytes, {}, {}, 1});
    for (int i = 0; i < 100; ++i) {
      Sample sample;
      sample.arm = name;
      sample.slice = kSlice;
      sample.item = std::to_string(i);
      sample.scores["exact"] = i < right ? 1 : 0;
      samples_.push_back(sample);
    }
  }
  void AddForm(const std::string& name, int right, double bytes, double kl) {
    AddArm(name, "lora", kMergedIn, right, bytes);
    AddKl(name, kl);
  }
  void AddKl(const std::string& name, double kl) {
    results_.forms.push_back({name, "lora", std::string(kMergedIn)});
    results_.rows.push_back({name, std::string(kParitySlice), "kl_divergence", kl, 0.9 * kl, 1.1 * kl, 100});
  }
  DeploymentAnswer Answer(const std::string& name) {
    for (const DeploymentAnswer& answer : AnswerDeployments(results_, samples_))
      if (answer.arm == name) return answer;
    ADD_FAILURE() << name;
    return {};
  }

  Results results_;
  std::vector<Sample> samples_;
};

TEST_F(Deployment, WhatPredictsAlikeIsKept) {
  AddForm("lora merged", 80, 300e6, 0.0001);
  const DeploymentAnswer answer = Answer("lora merged");
  EXPECT_EQ(answer.verdict, "kept");
  ASSERT_EQ(answer.slices.size(), 1u);
  EXPECT_EQ(answer.slices[0].difference, 0);
  EXPECT_EQ(answer.resident_bytes, 300e6);
  EXPECT_EQ(answer.remedy, "");
}

TEST_F(Deployment, WorseAnswersAreLostWhateverTheDivergence) {
  AddForm("lora merged rtn-3", 50, 80e6, 0.001);
  const DeploymentAnswer answer = Answer("lora merged rtn-3");
  EXPECT_EQ(answer.verdict, "lost");
  EXPECT_NE(answer.basis.find("behaviour −30.0 points"), std::string::npos) << answer.basis;
  EXPECT_EQ(answer.remedy, "") << "nothing as small was measured";
}

TEST_F(Deployment, TheRemedyIsAsSmallOfTheSameDataAndHasLostNothing) {
  AddForm("lora merged rtn-3", 50, 80e6, 0.3);
  AddForm("lora merged rtn-8", 79, 150e6, 0.01);   // as good, and too large
  AddArm("other", "other", kAsTrained, 95, 80e6);  // another training
  AddForm("lora merged gptq-3", 60, 80e6, 0.2);    // better, and lost something, too
  EXPECT_EQ(Answer("lora merged rtn-3").remedy, "");
  AddArm("small", "small", kAsTrained, 78, 85e6);
  const DeploymentAnswer answer = Answer("lora merged rtn-3");
  EXPECT_EQ(answer.remedy, "small");
  EXPECT_NE(answer.remedy_basis.find("less lora: behaviour −2.0 points"), std::string::npos) << answer.remedy_basis;
  // Of several that do, the smallest: two points more or less are noise.
  AddForm("lora merged gguf:Q4_K_M", 77, 82e6, 0.01);
  EXPECT_EQ(Answer("lora merged rtn-3").remedy, "lora merged gguf:Q4_K_M");
}

TEST_F(Deployment, WithoutAnswersTheDivergenceDecides) {
  AddKl("lora merged int8", 0.001);
  AddKl("lora merged gptq-4", 0.05);
  AddKl("lora merged awq-4", 0.02);
  EXPECT_EQ(Answer("lora merged int8").verdict, "kept, not scored");
  EXPECT_EQ(Answer("lora merged gptq-4").verdict, "differs");
  EXPECT_EQ(Answer("lora merged awq-4").verdict, "cannot tell") << "its interval reaches over the margin";
}

TEST(Qlora, IsHeldAgainstLoraOfTheSameData) {
  SyntheticPack pack = MakeSyntheticPack();
  pack.results.settings["adapters"] = {{{"name", "lora"}, {"base", "bf16"}, {"data", "train.jsonl"}},
                                       {{"name", "lora-grounded"}, {"base", "gguf"}, {"data", "train.jsonl"}}};
  const double whole = *pack.results.Value("lora", "training", "peak_rss_bytes");
  pack.results.rows.push_back({.arm = "lora-grounded",
                               .slice = "training",
                               .metric = "peak_rss_bytes",
                               .value = whole / 2,
                               .low = {},
                               .high = {},
                               .n = 1});
  const std::vector<std::string> said = AnswerQlora(pack.results, pack.samples);
  ASSERT_EQ(said.size(), 2u);
  EXPECT_NE(said[0].find("(50%)"), std::string::npos) << said[0];
  EXPECT_NE(said[0].find("serving with rag peaks at 452.0 MiB against 452.0 MiB (100%)"), std::string::npos) << said[0];
  EXPECT_NE(said[1].find("facts/changed"), std::string::npos) << said[1];
  pack.results.settings["adapters"][1]["data"] = "other.jsonl";
  EXPECT_NE(AnswerQlora(pack.results, pack.samples)[0].find("Not measured here"), std::string::npos);
}

}  // namespace
}  // namespace qad

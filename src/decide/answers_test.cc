#include "decide/answers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "decide/decide.h"
#include "decide/decide_testing.h"
#include "results/statistics.h"

namespace qad {
namespace {

TEST(FindOrMake, ComparesWithTheOptionsOfTheRun) {
  SyntheticPack pack = MakeSyntheticPack();
  pack.results.comparisons.clear();
  pack.results.settings["eval"] = {{"confidence", 0.9}, {"bootstrap", 300}};
  pack.results.manifest["seed"] = 5;
  std::map<std::string, std::vector<Sample>> of;
  for (const Sample& sample : pack.samples) of[sample.arm].push_back(sample);
  const auto compare = [&](const CompareOptions& options) {
    return ComparePaired(of["base + rag"], of["base"], "facts/stable", "contains", options);
  };
  const Comparison made = FindOrMake(pack.results, pack.samples, "base + rag", "base", "facts/stable", "contains");
  const Comparison wanted = compare({.confidence = 0.9, .bootstrap = 300, .seed = 5}), plain = compare({});
  EXPECT_EQ(made.low, wanted.low);
  EXPECT_EQ(made.high, wanted.high);
  EXPECT_LT(made.high - made.low, plain.high - plain.low);
  pack.results.settings["eval"]["confidence"] = 9;
  EXPECT_THROW(FindOrMake(pack.results, pack.samples, "base + rag", "base", "facts/stable", "contains"), Error);
}

TEST(Topics, TakeASliceOfNoKnownTopicUnderItsOwnName) {
  const SyntheticPack pack = OneSlice();
  const std::vector<TopicAnswer> topics = AnswerTopics(pack.results, pack.samples);
  ASSERT_EQ(topics.size(), 5u);  // the four known ones, none of them evaluated, and this one
  EXPECT_EQ(topics.back().topic, "all");
  EXPECT_EQ(topics.back().slice, "all");
  EXPECT_EQ(topics.back().metric, "contains");
  EXPECT_EQ(topics.back().winner, "base");
  const Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  EXPECT_EQ(decision.TopicsNotEvaluated(), "behaviour, stable facts, changing facts, unanswerable");
  int told = 0;
  for (const std::string& unknown : decision.unknowns) told += unknown.starts_with("Not evaluated here");
  EXPECT_EQ(told, 1);
}

TEST(Answers, ChecksThePattern) {
  const SyntheticPack pack = MakeSyntheticPack();
  const Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  ASSERT_EQ(decision.pattern.size(), 5u);
  for (const PatternStatement& statement : decision.pattern) EXPECT_EQ(statement.verdict, "shown") << statement.figure;
  ASSERT_EQ(decision.quantization.size(), 1u);
  EXPECT_EQ(decision.quantization[0].verdict, "equivalent");
  EXPECT_EQ(decision.quantization[0].decode_tie, false);
  SyntheticPack noisy = pack;
  for (Row& row : noisy.results.rows)
    if (row.slice == kSpeedSlice && row.metric == "decode_tokens_per_second") row.low = 1, row.high = 1e4;
  EXPECT_EQ(Decide(noisy.results, noisy.samples, Options(), 0).quantization[0].decode_tie, true);
}

// RAG that beats an adapter on facts that never changed, too, does not win by their change.
TEST(Answers, AnAdapterThatKnowsNothingProvesNothingAboutChange) {
  SyntheticPack pack = MakeSyntheticPack();
  for (Sample& sample : pack.samples)
    if (sample.arm == "lora" && sample.slice == "facts/stable") sample.scores["contains"] = 0;
  const PatternStatement rag = Decide(pack.results, pack.samples, Options(), 0).pattern[4];
  EXPECT_EQ(rag.verdict, "cannot tell here");
  EXPECT_NE(rag.figure.find("a lead larger by "), std::string::npos) << rag.figure;
}

TEST(Answers, SaysWhatBecomesOfArmsWhenFactsChange) {
  SyntheticPack pack = MakeSyntheticPack();
  Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  std::vector<std::string> arms;
  for (const FreshnessAnswer& answer : decision.freshness) arms.push_back(answer.arm);
  EXPECT_EQ(arms, (std::vector<std::string>{"base", "base + rag", "lora", "lora + rag", "lora-grounded + rag"}));
  EXPECT_EQ(decision.freshness[0].holds, "nothing");
  EXPECT_FALSE(decision.freshness[0].update_price);
  EXPECT_EQ(decision.freshness[2].holds, "adapter, trained before the change");
  EXPECT_FALSE(decision.freshness[1].changed_before.value);
  pack.results.rows.push_back({"base + rag", "facts/changed", kBeforeMetric, 0.7, 0.6, 0.8, 40});
  EXPECT_EQ(Decide(pack.results, pack.samples, Options(), 0).freshness[1].changed_before.value, 0.7);
  EXPECT_EQ(decision.freshness[2].changed.value, pack.results.Value("lora", "facts/changed", "contains"));
  EXPECT_GT(*decision.freshness[2].update_price, *decision.freshness[1].update_price);
  ASSERT_FALSE(decision.weekly.empty());
  EXPECT_NE(decision.weekly[0].find("choose lora-grounded + rag, as now"), std::string::npos) << decision.weekly[0];
  ASSERT_EQ(decision.qlora.size(), 1u);
  EXPECT_NE(decision.qlora[0].find("Not measured here"), std::string::npos);

  // Retrained, it is RAG's fair opponent and no longer an example of what was trained before.
  for (ArmInfo& arm : pack.results.arms) arm.retrained = arm.adapter == "lora";
  decision = Decide(pack.results, pack.samples, Options(), 0);
  EXPECT_EQ(decision.freshness[2].holds, "adapter, trained after the change");
  ASSERT_EQ(decision.pattern.size(), 6u);
  EXPECT_EQ(decision.pattern[3].verdict, "cannot tell here");
  EXPECT_EQ(decision.pattern[5].verdict, "shown");
}

// Its weights are elsewhere: it is neither the base nor quantized from it.
TEST(Answers, AnEndpointIsNoQuantizedArm) {
  SyntheticPack pack = MakeSyntheticPack();
  for (ArmInfo& arm : pack.results.arms) arm.remote = arm.weights == "int8";
  EXPECT_TRUE(AnswerQuantization(pack.results).empty());
  for (ArmInfo& arm : pack.results.arms) arm.remote = arm.name == "base";
  EXPECT_EQ(BaseArm(pack.results)->name, "int8");
}

// Nothing is lost on the grid that the base's own weights were rounded to: that shows nothing.
TEST(Answers, TheGridOfTheSourceProvesNothing) {
  for (const auto& [source, weights, verdict] : {std::tuple("q4_1", "auto:90MB", "cannot tell"),
                                                 {"q4_1", "gguf:Q4_1", "cannot tell"},
                                                 {"q4_k", "gguf:Q4_K_M", "cannot tell"},
                                                 {"q4_1", "gguf:Q5_1", "cannot tell"},
                                                 {"q4_1", "gguf:Q5_K_M", "cannot tell"},
                                                 {"q4_1", "gguf:Q8_0", "equivalent"},
                                                 {"q4_0", "gguf:Q8_0", "cannot tell"}}) {
    SyntheticPack pack = MakeSyntheticPack();
    pack.results.manifest["model"]["four_bit_source"] = true;
    pack.results.manifest["model"]["stored_format"] = source;
    for (ArmInfo& arm : pack.results.arms)
      if (arm.weights == "int8") arm.weights = weights;
    const Decision decision = Decide(pack.results, pack.samples, Options(), 0);
    ASSERT_EQ(decision.quantization.size(), 1u);
    EXPECT_EQ(decision.quantization[0].verdict, verdict) << weights << " " << decision.quantization[0].basis;
  }
}

}  // namespace
}  // namespace qad

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "results/statistics.h"

namespace qad {
namespace {

Sample MakeSample(const std::string& arm, int item, const std::string& slice, const std::string& metric, double score) {
  Sample sample;
  sample.arm = arm;
  sample.item = "i" + std::to_string(item);
  sample.cluster = sample.item;
  sample.slice = slice;
  sample.scores[metric] = score;
  return sample;
}

// `n` items; the arm is right where `right(i)`.
template <typename Right>
std::vector<Sample> MakeArm(const std::string& arm, int n, Right right, const std::string& metric = "contains") {
  std::vector<Sample> samples;
  for (int i = 0; i < n; ++i) samples.push_back(MakeSample(arm, i, "facts", metric, right(i)));
  return samples;
}

Comparison Compare(const std::vector<Sample>& a, const std::vector<Sample>& b, const std::string& metric = "contains") {
  return ComparePaired(a, b, "facts", metric, {});
}

TEST(ComparePaired, PlantedWinnerIsFound) {
  const auto a = MakeArm("lora", 60, [](int i) { return i < 45; });
  const auto b = MakeArm("base", 60, [](int i) { return i < 15; });
  const Comparison found = Compare(a, b);
  EXPECT_EQ(found.better, "lora");
  EXPECT_EQ(found.than, "base");
  EXPECT_EQ(found.n, 60);
  EXPECT_DOUBLE_EQ(found.difference, 0.5);
  EXPECT_DOUBLE_EQ(found.p_value, McNemarExact(30, 0));
  EXPECT_LT(found.low, 0.5);
  EXPECT_GT(found.low, 0.3);
  EXPECT_EQ(found.verdict, "better");
  EXPECT_EQ(Compare(b, a).verdict, "worse");
  EXPECT_DOUBLE_EQ(Compare(b, a).difference, -0.5);
}

TEST(ComparePaired, AgreementOnFewItemsIsNotEquivalence) {
  const auto few = MakeArm("a", 4, [](int) { return 1; });
  EXPECT_EQ(Compare(few, few).verdict, "cannot tell");
  EXPECT_GT(Compare(few, few).high, 0.05);
  const auto thirty = MakeArm("a", 30, [](int) { return 1; });
  EXPECT_EQ(Compare(thirty, thirty).verdict, "cannot tell");
  const auto many = MakeArm("a", 200, [](int i) { return i % 2; });
  EXPECT_EQ(Compare(many, many).verdict, "equivalent");
}

TEST(ComparePaired, FiveFlipsCannotTell) {
  const auto a = MakeArm("a", 12, [](int i) { return i < 5; });
  const auto b = MakeArm("b", 12, [](int) { return 0; });
  EXPECT_EQ(Compare(a, b).verdict, "cannot tell");
}

TEST(ComparePaired, LessIsBetterForStaleAnswers) {
  const auto a = MakeArm(
      "a", 40, [](int) { return 0; }, "stale");
  const auto b = MakeArm(
      "b", 40, [](int i) { return i < 30; }, "stale");
  EXPECT_EQ(Compare(a, b, "stale").verdict, "better");
  EXPECT_EQ(Compare(b, a, "stale").verdict, "worse");
}

TEST(ComparePaired, NumbersUseTheBootstrap) {
  const auto a = MakeArm(
      "a", 50, [](int i) { return 0.5 + 0.001 * i; }, "token_f1");
  const auto b = MakeArm(
      "b", 50, [](int i) { return 0.3 + 0.002 * ((i * 7) % 50); }, "token_f1");
  const Comparison found = Compare(a, b, "token_f1");
  EXPECT_EQ(found.verdict, "better");
  EXPECT_LT(found.p_value, 0.01);
  EXPECT_LT(found.low, found.difference);
  EXPECT_GT(found.high, found.difference);
  EXPECT_GT(found.detectable, 0);
  EXPECT_EQ(Compare(a, a, "token_f1").verdict, "equivalent");
  const auto few = MakeArm(
      "a", 4, [](int) { return 0.5; }, "token_f1");
  EXPECT_EQ(Compare(few, few, "token_f1").verdict, "cannot tell");
}

TEST(ComparePaired, PairsByItemNotByOrder) {
  auto a = MakeArm("a", 40, [](int i) { return i < 20; });
  const auto b = MakeArm("b", 40, [](int i) { return i < 20; });
  std::reverse(a.begin(), a.end());
  EXPECT_DOUBLE_EQ(Compare(a, b).p_value, 1);
  EXPECT_DOUBLE_EQ(Compare(a, b).difference, 0);
}

TEST(ComparePaired, OnlySharedItemsOfTheSliceCount) {
  auto a = MakeArm("a", 30, [](int) { return 1; });
  const auto b = MakeArm("b", 20, [](int) { return 0; });
  a[3].slice = "factsheet";  // a name that only begins alike
  a[4].slice = "facts/stable";
  const Comparison found = Compare(a, b);
  EXPECT_EQ(found.n, 19);
}

TEST(ComparePaired, NothingSharedCannotTell) {
  const auto a = MakeArm("a", 3, [](int) { return 1; });
  const Comparison found = ComparePaired(a, {}, "facts", "contains", {});
  EXPECT_EQ(found.n, 0);
  EXPECT_EQ(found.verdict, "cannot tell");
  EXPECT_EQ(found.p_value, 1);
  EXPECT_EQ(ComparePaired(a, a, "behaviour", "exact", {}).verdict, "cannot tell");
}

TEST(ComparePaired, ClustersWeakenTheEvidence) {
  auto a = MakeArm("a", 24, [](int) { return 1; });
  auto b = MakeArm("b", 24, [](int) { return 0; });
  EXPECT_EQ(Compare(a, b).verdict, "better");
  for (auto* arm : {&a, &b})
    for (size_t i = 0; i < arm->size(); ++i) (*arm)[i].cluster = "fact" + std::to_string(i / 6);
  const Comparison clustered = Compare(a, b);
  EXPECT_EQ(clustered.clusters, 4);
  EXPECT_DOUBLE_EQ(clustered.p_value, 0.125);  // 2 of the 2^4 sign patterns
  EXPECT_EQ(clustered.verdict, "cannot tell");
}

// Does the machinery keep its word? 400 experiments with a known truth.
struct Simulation {
  int shown = 0, wrong_way = 0, covered = 0, equivalent = 0;
};

Simulation Simulate(double wins, double losses, int items_per_cluster, int count = 60) {
  constexpr int kRuns = 400;
  Simulation out;
  for (int run = 0; run < kRuns; ++run) {
    Random random(static_cast<uint64_t>(run), 17);
    std::vector<Sample> a, b;
    double u = 0;
    for (int i = 0; i < count; ++i) {
      if (i % items_per_cluster == 0) u = random.Uniform();  // items of one cluster all go the same way
      a.push_back(MakeSample("a", i, "facts", "contains", u < wins ? 1 : 0));
      b.push_back(MakeSample("b", i, "facts", "contains", u >= wins && u < wins + losses ? 1 : 0));
      a.back().cluster = b.back().cluster = std::to_string(i / items_per_cluster);
    }
    const Comparison found = ComparePaired(a, b, "facts", "contains", {.bootstrap = 500});
    out.shown += found.verdict == "better" || found.verdict == "worse" ? 1 : 0;
    out.wrong_way += found.verdict == "worse" ? 1 : 0;
    out.covered += found.low <= wins - losses && wins - losses <= found.high ? 1 : 0;
    out.equivalent += found.verdict == "equivalent" ? 1 : 0;
  }
  return out;
}

// 5% of 400 is 20, with a standard deviation of 4.4: 33 is three above.
TEST(ComparePaired, FalseAlarmsAreRare) {
  EXPECT_LE(Simulate(0.15, 0.15, 1).shown, 33);
  EXPECT_LE(Simulate(0.15, 0.15, 3).shown, 33) << "items of one fact must not count as three";
}

// At the minimum detectable difference for 60 pairs of which 30% differ, 20 points, 80% are found: 320 of 400, with a
// standard deviation of 8; three below is 296.
TEST(ComparePaired, TheDetectableDifferenceIsDetected) {
  const Simulation found = Simulate(0.2505, 0.0495, 1);
  EXPECT_GE(found.shown, 296);
  EXPECT_LE(found.shown, 344);
  EXPECT_EQ(found.wrong_way, 0);
}

// 15 points at n = 120, of which 30% differ, whichever way they fall.
TEST(ComparePaired, FifteenPointsAreDetectedOn120ItemsEitherWay) {
  const Simulation won = Simulate(0.225, 0.075, 1, 120), lost = Simulate(0.075, 0.225, 1, 120);
  EXPECT_GE(won.shown, 296);
  EXPECT_EQ(won.wrong_way, 0);
  EXPECT_GE(lost.shown, 296);
  EXPECT_EQ(lost.wrong_way, lost.shown);
}

// 95% of 400 is 380, with a standard deviation of 4.4; a bootstrap of 60 items (or 20 clusters) may fall short by 2%.
TEST(ComparePaired, IntervalsCoverTheTruth) {
  EXPECT_GE(Simulate(0.25, 0.1, 1).covered, 380 - 8 - 13);
  EXPECT_GE(Simulate(0.25, 0.1, 3).covered, 380 - 8 - 13);
  EXPECT_GE(Simulate(0.02, 0.02, 1).covered, 380 - 8 - 13);
}

TEST(CorrectDeclared, HolmTakesBackWhatChanceExplains) {
  const auto a = MakeArm("a", 30, [](int i) { return i < 6; });
  const auto b = MakeArm("b", 30, [](int) { return 0; });
  Comparison one = Compare(a, b);
  ASSERT_EQ(one.verdict, "better");  // p = 0.031
  one.declared = true;
  std::vector<Comparison> comparisons = {one, one, one};
  comparisons[2].declared = false;
  CorrectDeclared(comparisons, {});
  EXPECT_DOUBLE_EQ(comparisons[0].p_adjusted, 2 * one.p_value);
  EXPECT_EQ(comparisons[0].verdict, "cannot tell");
  EXPECT_EQ(comparisons[2].verdict, "");
  EXPECT_DOUBLE_EQ(comparisons[2].p_adjusted, one.p_value);
}

TEST(CorrectDeclared, WhatWasTakenOutStillCounts) {
  const auto a = MakeArm("a", 30, [](int i) { return i < 6; });
  const auto b = MakeArm("b", 30, [](int) { return 0; });
  std::vector<Comparison> comparisons = {Compare(a, b)};
  comparisons[0].declared = true;
  CorrectDeclared(comparisons, {}, 1);
  EXPECT_DOUBLE_EQ(comparisons[0].p_adjusted, 2 * comparisons[0].p_value);
  EXPECT_EQ(comparisons[0].verdict, "cannot tell");
}

TEST(CorrectDeclared, WhatIsDetectableIsSoAfterCorrection) {
  std::vector<Sample> a = MakeArm("a", 30, [](int i) { return i < 6; }), b = MakeArm("b", 30, [](int) { return 0; });
  std::vector<Comparison> comparisons = {Compare(a, b)};
  for (auto* arm : {&a, &b})
    for (Sample& sample : *arm) sample.scores["contains"] *= 0.5;  // no yes or no
  comparisons.push_back(Compare(a, b));
  const std::vector<Comparison> alone = comparisons;
  for (Comparison& comparison : comparisons) comparison.declared = true;
  CorrectDeclared(comparisons, {});
  EXPECT_EQ(comparisons[0].detectable, MinimumDetectableDifference(30, 0.2, kPower, 0.025));
  EXPECT_GT(comparisons[0].detectable, alone[0].detectable);
  EXPECT_NEAR(comparisons[1].detectable, alone[1].detectable * (2.2414 + 0.8416) / (1.96 + 0.8416), 1e-4);
}

// Its differences are no shares, of which the margin speaks.
TEST(ComparePaired, LikelihoodsAreNeverEquivalentWithinAMarginOfShares) {
  std::vector<Sample> a, b;
  for (int i = 0; i < 30; ++i) {
    a.push_back(MakeSample("a", i, "all", "answer_log_likelihood", -2 + 0.001 * i));
    b.push_back(MakeSample("b", i, "all", "answer_log_likelihood", -2));
  }
  EXPECT_NE(ComparePaired(a, b, "all", "answer_log_likelihood", {}).verdict, "equivalent");
  for (auto* arm : {&a, &b})
    for (Sample& sample : *arm) sample.scores["token_f1"] = sample.scores["answer_log_likelihood"] + 2;
  EXPECT_EQ(ComparePaired(a, b, "all", "token_f1", {}).verdict, "equivalent");
}

TEST(ComparePaired, WhatCouldBeShownDependsOnTheConfidence) {
  const auto a = MakeArm("a", 30, [](int i) { return i < 6; });
  const auto b = MakeArm("b", 30, [](int) { return 0; });
  CompareOptions lenient;
  lenient.confidence = 0.8;
  EXPECT_LT(ComparePaired(a, b, "all", "contains", lenient).detectable, Compare(a, b).detectable);
}

TEST(SummarizeSamples, UnionComesBeforeItsParts) {
  std::vector<Sample> samples;
  for (int i = 0; i < 10; ++i) samples.push_back(MakeSample("base", i, "facts/stable", "contains", i < 5));
  for (int i = 10; i < 30; ++i) samples.push_back(MakeSample("base", i, "facts/changed", "contains", 1));
  samples.push_back(MakeSample("base", 30, "behaviour", "exact", 1));
  const std::vector<Row> rows = SummarizeSamples(samples, 0.95, 100, 0);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].slice, "facts");
  EXPECT_EQ(rows[0].n, 30);
  EXPECT_DOUBLE_EQ(rows[0].value, 25.0 / 30);
  EXPECT_EQ(rows[1].slice, "facts/stable");
  EXPECT_DOUBLE_EQ(rows[1].value, 0.5);
  EXPECT_DOUBLE_EQ(*rows[1].low, WilsonInterval(0.5, 10, 0.95).low);
  EXPECT_EQ(rows[2].slice, "facts/changed");
  EXPECT_EQ(*rows[2].high, 1);
  EXPECT_EQ(rows[3].slice, "behaviour");
}

TEST(SummarizeSamples, NumbersGetBootstrapIntervals) {
  std::vector<Sample> samples;
  for (int i = 0; i < 40; ++i) samples.push_back(MakeSample("base", i, "facts", "token_f1", i / 40.0));
  const Row row = SummarizeSamples(samples, 0.95, 2000, 0).at(0);
  EXPECT_DOUBLE_EQ(row.value, 19.5 / 40);
  // Mean of 40 uniform values: standard error 0.289/√40 = 0.0457, so about ±0.09.
  EXPECT_NEAR(*row.high - *row.low, 2 * 1.96 * 0.0457, 0.02);
}

TEST(SummarizeSamples, ArmsInOrderOfFirstAppearance) {
  const std::vector<Sample> samples = {MakeSample("z", 0, "s", "m", 1), MakeSample("a", 0, "s", "m", 0)};
  const std::vector<Row> rows = SummarizeSamples(samples, 0.95, 10, 0);
  EXPECT_EQ(rows.at(0).arm, "z");
  EXPECT_EQ(rows.at(1).arm, "a");
  EXPECT_TRUE(SummarizeSamples({}, 0.95, 10, 0).empty());
}

TEST(LowerIsBetter, KnowsDirections) {
  for (const char* metric : {"stale", "false_refusal", "kl_divergence", "seconds", "peak_rss_bytes", "ttft_p50"})
    EXPECT_TRUE(LowerIsBetter(metric)) << metric;
  for (const char* metric :
       {"contains", "exact", "correct_refusal", "decode_tokens_per_second", "gigabytes_per_second"})
    EXPECT_FALSE(LowerIsBetter(metric)) << metric;
}

}  // namespace
}  // namespace qad

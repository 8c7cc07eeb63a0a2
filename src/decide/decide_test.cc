#include "decide/decide.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "decide/decide_testing.h"
#include "decide/evidence.h"
#include "decide/headline.h"
#include "decide/robustness.h"
#include "decide/rules.h"
#include "decide/sensitivity.h"
#include "results/binomial.h"
#include "results/statistics.h"
#include "results/testing.h"

namespace qad {
namespace {

Estimate Rate(double value, int64_t n, double confidence = 0.95) {
  const Interval interval = WilsonInterval(value, static_cast<double>(n), confidence);
  return {value, interval.low, interval.high, n};
}

// An arm without adapter or index that passes everything asked for in Plain().
ArmEvidence PlainArm(const std::string& name, double latency, int parts = 1) {
  ArmEvidence arm;
  arm.arm = name;
  arm.moving_parts = parts;
  arm.quality = {Rate(0.9, 120)};
  arm.memory = Estimate{4e8, 4e8, 4e8, 1};
  arm.query_seconds = Estimate{latency, latency, latency, 5};
  arm.latency_p95 = Estimate{2 * latency, 2 * latency, 2 * latency, 5};
  return arm;
}

Evidence Plain(std::vector<ArmEvidence> arms) { return {{{"behaviour", "exact", 0.6}}, std::move(arms)}; }

std::string Winner(const Evidence& evidence, const DecideOptions& options) {
  const auto choice = Choose(evidence, options);
  return choice ? evidence.arms[*choice].arm : "none";
}

TEST(Judge, HoldsTheWholeIntervalAgainstTheLimit) {
  EXPECT_EQ(Judge(Rate(0.7, 120), 0.6, Side::kAtLeast), Verdict::kPass);
  EXPECT_EQ(Judge(Rate(0.65, 40), 0.6, Side::kAtLeast), Verdict::kUnproven);  // the point alone would pass
  EXPECT_EQ(Judge(Rate(0.4, 120), 0.6, Side::kAtLeast), Verdict::kFail);
  EXPECT_EQ(Judge(Estimate{1, 0.9, 1.2, 5}, 1.1, Side::kAtMost), Verdict::kUnproven);
  EXPECT_EQ(Judge(std::nullopt, 0.6, Side::kAtLeast), Verdict::kUnproven);
}

TEST(Judge, FortyOfFortyProvesNinetyOnePercent) {
  EXPECT_EQ(Judge(Rate(1, 40), 0.91, Side::kAtLeast), Verdict::kPass);
  EXPECT_EQ(Judge(Rate(1, 40), 0.92, Side::kAtLeast), Verdict::kUnproven);
}

// Chance that n items whose true share is `share` settle the floor 0.6.
double Settled(double share, int64_t n, double confidence) {
  double settled = 0;
  for (int64_t right = 0; right <= n; ++right)
    if (Judge(Rate(static_cast<double>(right) / static_cast<double>(n), n, confidence), 0.6, Side::kAtLeast) !=
        Verdict::kUnproven)
      settled += BinomialMass(n, right, share);
  return settled;
}

TEST(ItemsNeeded, AreThoseThatSettleTheFloorInFourOfFiveRuns) {
  for (const double confidence : {0.95, 0.9})
    for (const double share : {0.7, 0.52, 0.75}) {
      const int64_t n = *ItemsNeeded(share, 0.6, confidence);
      EXPECT_NEAR(Settled(share, n, confidence), 0.8, 0.07) << share << " " << n;
    }
  EXPECT_FALSE(ItemsNeeded(0.6, 0.6, 0.95));
}

TEST(JudgeArm, APeakNeedsItsMarginBelowTheBudget) {
  DecideOptions options = Options();
  ArmEvidence arm = PlainArm("arm", 1);
  const auto verdict = [&](double peak) {
    arm.memory = Estimate{peak, peak, peak, 1};
    const ArmDecision decision = JudgeArm(arm, {}, options);
    return std::ranges::find(decision.checks, "memory", &RuleCheck::rule)->verdict;
  };
  const auto budget = static_cast<double>(options.memory_budget);
  EXPECT_EQ(verdict(budget / 1.06), "pass");
  EXPECT_EQ(verdict(budget / 1.04), "unproven");
  EXPECT_EQ(verdict(budget * 1.01), "fail");
  options.memory_margin = 0;
  EXPECT_EQ(verdict(budget), "pass");
}

TEST(ItemsNeeded, AreThoseOfTheConfidenceAskedFor) {
  DecideOptions options = Options();
  options.confidence = 0.9;
  ArmEvidence arm = PlainArm("arm", 1);
  arm.quality = {Rate(0.65, 40, options.confidence)};
  const ArmDecision decision = JudgeArm(arm, {{"behaviour", "exact", 0.6}}, options);
  const auto check = std::ranges::find(decision.checks, "behaviour", &RuleCheck::rule);
  ASSERT_NE(check, decision.checks.end());
  EXPECT_EQ(check->items_needed, ItemsNeeded(0.65, 0.6, 0.9));
}

TEST(Choose, TakesTheCheapest) {
  EXPECT_EQ(Winner(Plain({PlainArm("slow", 2), PlainArm("fast", 1), PlainArm("middle", 1.5)}), Options()), "fast");
}

TEST(Choose, TakesFewerPartsWithinTenPercent) {
  EXPECT_EQ(Winner(Plain({PlainArm("complex", 1, 3), PlainArm("simple", 1.09, 1)}), Options()), "simple");
  EXPECT_EQ(Winner(Plain({PlainArm("complex", 1, 3), PlainArm("simple", 1.11, 1)}), Options()), "complex");
}

TEST(Choose, NeverTakesABaselineOrAnArmThatFailsOneRule) {
  ArmEvidence baseline = PlainArm("majority", 0.1), large = PlainArm("large", 0.2), slow = PlainArm("slow", 3);
  ArmEvidence late = PlainArm("late", 0.2), weak = PlainArm("weak", 0.2);
  baseline.candidate = false;
  large.memory = Estimate{4e9, 4e9, 4e9, 1};
  late.updated = true;
  late.update_seconds = 1e6;
  weak.quality = {Rate(0.3, 120)};
  EXPECT_EQ(Winner(Plain({baseline, large, slow, late, weak}), Options()), "none");
  EXPECT_EQ(Winner(Plain({baseline, large, slow, late, weak, PlainArm("good", 1)}), Options()), "good");
}

TEST(Choose, TreatsWhatWasNotMeasuredAsUnproven) {
  for (const int missing : {0, 1, 2, 3}) {
    const bool is_quality = missing == 3;
    ArmEvidence arm = PlainArm("arm", 1);
    if (missing == 0) arm.memory.reset();
    if (missing == 1) arm.latency_p95.reset();
    if (missing == 2) arm.query_seconds.reset();
    if (missing == 3) arm.quality = {std::nullopt};
    EXPECT_EQ(Winner(Plain({arm}), Options()), "none") << missing;
    const ArmDecision decision = JudgeArm(arm, {{"behaviour", "exact", 0.6}}, Options());
    EXPECT_FALSE(decision.first_failed.empty());
    EXPECT_EQ(decision.eligible, is_quality ? "pass" : "unproven") << missing;
    EXPECT_EQ(decision.adequate, is_quality ? "unproven" : "pass") << missing;
  }
}

const Flip& FlipOf(const std::vector<Flip>& flips, const std::string& constraint) {
  for (const Flip& flip : flips)
    if (flip.constraint == constraint) return flip;
  throw std::runtime_error("no flip of " + constraint);
}

TEST(Flips, AreFoundWhereTheRuleTurns) {
  ArmEvidence small = PlainArm("small", 2), large = PlainArm("large", 1);
  small.memory = Estimate{2e8, 2e8, 2e8, 1};
  const std::vector<Flip> flips = FindFlips(Plain({small, large}), Options());
  const Flip& memory = FlipOf(flips, "memory budget");
  ASSERT_TRUE(memory.at);
  EXPECT_EQ(memory.winner, "small");
  EXPECT_NEAR(*memory.at, 1.05 * 4e8, 1.05 * 4e8 * 2e-4);  // with its margin; halving stops at 1e-4 of the value
  const Flip& latency = FlipOf(flips, "latency p95");
  ASSERT_TRUE(latency.at);
  EXPECT_EQ(latency.winner, "");  // below 2 s neither arm is left
  EXPECT_NEAR(*latency.at, 2, 4e-4);
  const Flip& floor = FlipOf(flips, "floor of behaviour");
  ASSERT_TRUE(floor.at);
  EXPECT_NEAR(*floor.at, Rate(0.9, 120).low, 1e-4);
  EXPECT_EQ(std::ranges::count(flips, "all floors, as a share of what they are", &Flip::constraint), 0);  // one floor
  EXPECT_FALSE(FlipOf(flips, "queries per month").at);  // only queries cost anything: their number turns nothing
}

// Where several floors fail, no one of them moved alone lets an arm pass.
TEST(Flips, MoveAllFloorsTogether) {
  ArmEvidence arm = PlainArm("only", 1);
  arm.quality = {Rate(0.5, 120), Rate(0.5, 120)};
  Evidence evidence = Plain({arm});
  evidence.required = {{"behaviour", "exact", 0.8}, {"facts", "contains", 0.6}};
  const std::vector<Flip> flips = FindFlips(evidence, Options());
  EXPECT_FALSE(FlipOf(flips, "floor of behaviour").at);
  EXPECT_FALSE(FlipOf(flips, "floor of facts").at);
  const Flip& all = FlipOf(flips, "all floors, as a share of what they are");
  ASSERT_TRUE(all.at);
  EXPECT_EQ(all.winner, "only");
  EXPECT_NEAR(*all.at, Rate(0.5, 120).low / 0.8, 1e-4);  // where the higher floor is the interval's lower end
}

// Halving relative to the value would never end where the choice turns at, or just above, nothing.
TEST(Flips, EndWhereTheValueIsNothing) {
  const ArmEvidence arm = PlainArm("only", 1);
  Evidence evidence = Plain({arm});
  for (RequiredSlice& slice : evidence.required) slice.floor = 0;
  for (auto& quality : evidence.arms[0].quality) quality = Estimate{0, 0, 0.3, 10};  // no floor above 0 is reached
  const std::vector<Flip> flips = FindFlips(evidence, Options());
  const Flip& floor = FlipOf(flips, "floor of behaviour");
  ASSERT_TRUE(floor.at);
  EXPECT_LT(*floor.at, 1e-3);
}

TEST(RequiredSlices, StandForTheirParts) {
  const SyntheticPack pack = MakeSyntheticPack();
  const std::vector<RequiredSlice> required = RequiredSlices(pack.results, Options());
  ASSERT_EQ(required.size(), 3u);  // facts is facts/stable and facts/changed, never their average
  EXPECT_EQ(required[0].metric, "exact");
  EXPECT_EQ(required[1].slice, "facts/stable");
  EXPECT_EQ(required[2].slice, "facts/changed");
  EXPECT_EQ(required[2].metric, "contains");
}

TEST(Decide, FindsThePlantedWinner) {
  const SyntheticPack pack = MakeSyntheticPack();
  const Decision decision = Decide(pack.results, pack.samples, Options(), 300);
  EXPECT_EQ(decision.recommended, "lora-grounded + rag");
  ASSERT_EQ(decision.headline.size(), 3u);
  EXPECT_GT(*decision.Arm("lora-grounded + rag")->chosen, 0.5);
  EXPECT_EQ(decision.Arm("lora")->first_failed, "facts/stable");
  EXPECT_EQ(decision.Arm("base")->adequate, "fail");
  EXPECT_FALSE(decision.Arm("majority class")->candidate);
  double shares = *decision.nothing;
  for (const ArmDecision& arm : decision.arms) shares += *arm.chosen;
  EXPECT_NEAR(shares, 1, 1e-9);
}

TEST(Decide, RecommendsNothingWhereAllFail) {
  const SyntheticPack pack = MakeSyntheticPack();
  DecideOptions options = Options();
  options.required["facts"] = 0.99;
  const Decision decision = Decide(pack.results, pack.samples, options, 100);
  EXPECT_EQ(decision.recommended, "");
  EXPECT_EQ(decision.headline[0], "Recommendation: none of the arms.");
  EXPECT_NE(decision.headline[1].find("facts/changed"), std::string::npos) << decision.headline[1];
  EXPECT_NEAR(*decision.nothing, 1, 1e-9);
  EXPECT_EQ(decision.closest, Closest(decision)->arm);
  EXPECT_TRUE(decision.headline[1].starts_with("Closest is " + decision.closest + ": ")) << decision.headline[1];
  EXPECT_EQ(Decide(pack.results, pack.samples, Options(), 0).closest, "");
}

// Of arms that fail as many rules, the one whose worst floor is nearest.
TEST(Closest, IsTheArmThatMissesLeast) {
  Decision decision;
  const auto add = [&](const std::string& arm, double low) {
    RuleCheck fails, unproven;
    fails.unit = unproven.unit = "share";
    fails.limit = unproven.limit = 0.6;
    fails.verdict = "fail";
    fails.low = low;
    unproven.verdict = "unproven";
    unproven.low = 0.5;
    ArmDecision& added = decision.arms.emplace_back();
    added.arm = arm;
    added.checks = {fails, unproven};
  };
  EXPECT_EQ(Closest(decision), nullptr);
  add("far", 0.1);
  add("near", 0.4);
  add("as near", 0.4);
  EXPECT_EQ(Closest(decision)->arm, "near");
  decision.arms[0].checks.pop_back();  // one rule fewer is not proven
  EXPECT_EQ(Closest(decision)->arm, "far");
}

// Each item once, however many places it stands in.
TEST(Decide, TellsOfLeaks) {
  SyntheticPack pack = MakeSyntheticPack();
  const auto told = [&] {
    const Decision decision = Decide(pack.results, {}, Options());
    return std::ranges::count_if(decision.unknowns, [](const std::string& unknown) {
      return unknown.starts_with("2 of the evaluation items stand");
    });
  };
  pack.results.manifest["leaks"] = Json::array();
  EXPECT_EQ(told(), 0);
  pack.results.manifest["leaks"] = {
      {{"item", "a"}, {"corpus", "train"}}, {{"item", "a"}, {"corpus", "dev"}}, {{"item", "b"}, {"corpus", "train"}}};
  EXPECT_EQ(told(), 1);
}

TEST(Decide, CallsABorderlineChoiceUndecided) {
  const SyntheticPack pack = MakeSyntheticPack();
  DecideOptions options = Options();
  const Decision now = Decide(pack.results, pack.samples, options, 0);
  const RuleCheck* check = nullptr;
  for (const RuleCheck& candidate : now.Arm("lora-grounded + rag")->checks)
    if (candidate.rule == "behaviour") check = &candidate;
  ASSERT_TRUE(check);
  options.required = {{"behaviour", *check->low - 1e-6}, {"facts", 0.3}};  // passes by nothing
  const Decision decision = Decide(pack.results, pack.samples, options, 300);
  EXPECT_FALSE(decision.recommended.empty());
  EXPECT_TRUE(decision.undecided);
  EXPECT_NE(decision.headline[0].find("undecided"), std::string::npos) << decision.headline[0];
}

TEST(Decide, LivesWithNothingMeasured) {
  const Decision empty = Decide({}, {}, {});
  EXPECT_EQ(empty.recommended, "");
  Results bare;
  bare.arms = MakeSyntheticPack().results.arms;
  const Decision decision = Decide(bare, {}, Options());
  EXPECT_EQ(decision.recommended, "");
  EXPECT_EQ(decision.Arm("base")->eligible, "unproven");
  EXPECT_EQ(decision.Arm("base")->adequate, "unproven");
  for (const PatternStatement& statement : decision.pattern) EXPECT_EQ(statement.verdict, "cannot tell here");
  EXPECT_EQ(decision.headline.size(), 3u);
}

TEST(Decide, WithoutFloorsResamplesTheSpeedRoundsAlone) {
  const SyntheticPack pack = OneSlice();
  DecideOptions options = Options();
  options.required.clear();
  const Decision decision = Decide(pack.results, {}, options, 300);
  EXPECT_EQ(decision.recommended, "base");
  EXPECT_EQ(decision.resamples, 300);
  EXPECT_GT(*decision.Arm("base")->chosen, 0.5);
  EXPECT_GT(*decision.Arm("base + few-shot")->chosen, 0);
  EXPECT_NE(decision.headline[2].find("No floor is set"), std::string::npos) << decision.headline[2];
  for (const std::string& unknown : decision.unknowns) EXPECT_EQ(unknown.find("samples"), std::string::npos) << unknown;
}

TEST(Decide, SaysHowManyItemsWouldShowADifference) {
  SyntheticPack pack = MakeSyntheticPack();
  Comparison& pair = pack.results.comparisons.front();
  pair.declared = true;
  pair.verdict = "cannot tell";
  pair.n = pair.clusters = 40;
  pair.difference = -0.1;
  pair.discordance = 0.2;
  const auto told = [&] {
    std::string all;
    for (const std::string& unknown : Decide(pack.results, {}, Options(), 0).unknowns) all += unknown + "\n";
    return all;
  };
  const auto declared = std::ranges::count_if(pack.results.comparisons, &Comparison::declared);
  ASSERT_GT(declared, 1);
  const int64_t pairs = *PairsToDetect(0.1, 0.2, kPower, 0.05 / static_cast<double>(declared));
  EXPECT_NE(told().find(fmt::format("true one, {} items would show it", pairs)), std::string::npos) << told();
  pair.n = 80;  // two of each cluster
  EXPECT_NE(told().find(fmt::format("true one, {} items would show it", 2 * pairs)), std::string::npos) << told();
}

// Arms with the same answers pass and fail on the same draws: the dearer one is never chosen.
TEST(Resample, DrawsTheSameItemsForEveryArm) {
  const Evidence evidence = Plain({PlainArm("cheap", 1), PlainArm("dear", 2)});
  std::vector<Sample> samples;
  for (const char* arm : {"cheap", "dear"})
    for (int i = 0; i < 80; ++i) {
      Sample& sample = samples.emplace_back();
      sample.arm = arm;
      sample.item = std::to_string(i);
      sample.slice = evidence.required[0].slice;
      sample.scores[evidence.required[0].metric] = i < 57 ? 1 : 0;  // 71%, floor 60%
    }
  const Robustness robustness = Resample(evidence, samples, Options(), 300, 3);
  EXPECT_GT(robustness.chosen[0], 0.2);
  EXPECT_LT(robustness.chosen[0], 0.9);
  EXPECT_EQ(robustness.chosen[1], 0);
}

// An arm that passes with one seed and fails with the other is chosen in about half of the draws.
TEST(Resample, DrawsOneOfTheSeeds) {
  Evidence evidence = Plain({PlainArm("lora", 1), PlainArm("lora (seed 1)", 1)});
  evidence.arms[1].candidate = false;
  evidence.arms[1].replica_of = "lora";
  std::vector<Sample> samples;
  for (const ArmEvidence& arm : evidence.arms)
    for (int i = 0; i < 80; ++i) {
      Sample& sample = samples.emplace_back();
      sample.arm = arm.arm;
      sample.item = std::to_string(i);
      sample.slice = evidence.required[0].slice;
      sample.scores[evidence.required[0].metric] = i < (arm.candidate ? 78 : 20) ? 1 : 0;
    }
  const Robustness robustness = Resample(evidence, samples, Options(), 400, 3);
  EXPECT_NEAR(robustness.chosen[0], 0.5, 0.08);
  EXPECT_NEAR(robustness.nothing, 0.5, 0.08);
  EXPECT_EQ(robustness.chosen[1], 0);
}

TEST(Decide, TellsWhatTheSeedMoves) {
  SyntheticPack pack = MakeSyntheticPack();
  ArmInfo replica = *pack.results.Arm("lora");
  replica.name = "lora (seed 1)";
  replica.replica_of = "lora";
  pack.results.arms.push_back(replica);
  pack.results.rows.push_back({replica.name, "behaviour", "exact", 0.5, 0.4, 0.6, 120});
  const Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  const auto told = std::ranges::find_if(decision.unknowns, [](const std::string& unknown) {
    return unknown.starts_with("What the training seed moves, in no interval: lora: behaviour ") &&
           unknown.find("%, 50%; ") != std::string::npos;
  });
  EXPECT_NE(told, decision.unknowns.end());
  EXPECT_FALSE(decision.Arm(replica.name)->candidate);
  for (const TopicAnswer& topic : decision.topics) EXPECT_NE(topic.winner, replica.name);
}

TEST(Decide, TellsOfTrainingThatWasStillImproving) {
  SyntheticPack pack = MakeSyntheticPack();
  pack.results.curves = {{.arm = "lora",
                          .steps = {},
                          .losses = {},
                          .validation_steps = {},
                          .validation_losses = {},
                          .validation_scores = {0.1, 0.3, 0.4}},
                         {.arm = "other",
                          .steps = {},
                          .losses = {},
                          .validation_steps = {},
                          .validation_losses = {},
                          .validation_scores = {0.1, 0.4, 0.3}}};
  const Decision decision = Decide(pack.results, {}, Options(), 0);
  EXPECT_EQ(std::ranges::count(decision.unknowns,
                               "Trained until the last step, which was the best on dev: lora. What longer training "
                               "would bring is not known."),
            1);
}

// The decision on the made-up pack, whole. QAD_UPDATE_GOLDENS=1 writes it; report's goldens are made from it.
TEST(Decide, EqualsTheGolden) {
  const SyntheticPack pack = MakeSyntheticPack();
  const Decision decision = Decide(pack.results, pack.samples, Options(), 200);
  const std::filesystem::path golden = std::filesystem::path(QAD_TESTDATA) / "report" / "decision.json";
  if (std::getenv("QAD_UPDATE_GOLDENS")) {
    MakeFolders(golden.parent_path());
    WriteDecision(golden, decision);
  }
  EXPECT_EQ(DumpJson(DecisionToJson(ReadDecision(golden))), DumpJson(DecisionToJson(decision)));
}

}  // namespace
}  // namespace qad

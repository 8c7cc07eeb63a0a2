#include "decide/decide.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "decide/answers.h"
#include "decide/evidence.h"
#include "decide/freshness.h"
#include "decide/headline.h"
#include "decide/rules.h"
#include "decide/sensitivity.h"
#include "results/statistics.h"
#include "results/testing.h"

namespace qad {
namespace {

DecideOptions Options() {
  DecideOptions options;
  options.required = {{"behaviour", 0.60}, {"facts", 0.60}};
  options.memory_budget = uint64_t{1} << 30;
  return options;
}

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

TEST(ItemsNeeded, IsTheSizeAtWhichTheIntervalClearsTheLimit) {
  for (const double confidence : {0.95, 0.9}) {
    const int64_t n = *ItemsNeeded(0.7, 0.6, confidence);
    EXPECT_EQ(Judge(Rate(0.7, n, confidence), 0.6, Side::kAtLeast), Verdict::kPass);
    EXPECT_EQ(Judge(Rate(0.7, n - 1, confidence), 0.6, Side::kAtLeast), Verdict::kUnproven);
  }
  EXPECT_FALSE(ItemsNeeded(0.6, 0.6, 0.95));
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
    ArmEvidence arm = PlainArm("arm", 1);
    if (missing == 0) arm.memory.reset();
    if (missing == 1) arm.latency_p95.reset();
    if (missing == 2) arm.query_seconds.reset();
    if (missing == 3) arm.quality = {std::nullopt};
    EXPECT_EQ(Winner(Plain({arm}), Options()), "none") << missing;
    const ArmDecision decision = JudgeArm(arm, {{"behaviour", "exact", 0.6}}, Options());
    EXPECT_FALSE(decision.first_failed.empty());
    EXPECT_TRUE(decision.eligible == "unproven" || decision.adequate == "unproven");
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
  EXPECT_NEAR(*memory.at, 4e8, 4e8 * 2e-4);  // halving stops at 1e-4 of the value
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

// An ordinary dataset: one slice, judged by `contains`, two arms without adapter or index, no floor.
SyntheticPack OneSlice() {
  SyntheticPack pack;
  for (const char* name : {"base", "base + few-shot"}) {
    ArmInfo arm;
    arm.name = name;
    arm.prompting = arm.name == "base" ? "" : "few-shot";
    pack.results.arms.push_back(arm);
    pack.results.rows.push_back({name, "all", "contains", 0.5, 0.4, 0.6, 100});
    pack.results.rows.push_back({name, std::string(kMemorySlice), "peak_rss_bytes", 4e8, {}, {}, 1});
    const double seconds = arm.prompting.empty() ? 1.0 : 1.2;
    for (const char* metric : {"query_seconds", "latency_p95"})
      pack.results.rows.push_back({name, std::string(kSpeedSlice), metric, seconds, 0.8, 1.5, 5});
  }
  return pack;
}

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

TEST(Decide, ChecksThePattern) {
  const SyntheticPack pack = MakeSyntheticPack();
  const Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  ASSERT_EQ(decision.pattern.size(), 5u);
  for (const PatternStatement& statement : decision.pattern) EXPECT_EQ(statement.verdict, "shown") << statement.figure;
  ASSERT_EQ(decision.quantization.size(), 1u);
  EXPECT_EQ(decision.quantization[0].verdict, "equivalent");
}

// RAG that beats an adapter on facts that never changed, too, does not win by their change.
TEST(Decide, AnAdapterThatKnowsNothingProvesNothingAboutChange) {
  SyntheticPack pack = MakeSyntheticPack();
  for (Sample& sample : pack.samples)
    if (sample.arm == "lora" && sample.slice == "facts/stable") sample.scores["contains"] = 0;
  const PatternStatement rag = Decide(pack.results, pack.samples, Options(), 0).pattern[4];
  EXPECT_EQ(rag.verdict, "cannot tell here");
  EXPECT_NE(rag.figure.find("the adapter knows too few of either"), std::string::npos) << rag.figure;
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
  const std::string pairs = std::to_string(*PairsToDetect(0.1, 0.2));
  EXPECT_NE(told().find("which would take " + pairs + " items"), std::string::npos) << told();
  pair.n = 80;  // two of each cluster
  EXPECT_NE(told().find("which would take " + std::to_string(2 * *PairsToDetect(0.1, 0.2)) + " items"),
            std::string::npos)
      << told();
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

TEST(Decide, SaysWhatBecomesOfArmsWhenFactsChange) {
  SyntheticPack pack = MakeSyntheticPack();
  Decision decision = Decide(pack.results, pack.samples, Options(), 0);
  std::vector<std::string> arms;
  for (const FreshnessAnswer& answer : decision.freshness) arms.push_back(answer.arm);
  EXPECT_EQ(arms, (std::vector<std::string>{"base", "base + rag", "lora", "lora + rag", "lora-grounded + rag"}));
  EXPECT_EQ(decision.freshness[0].holds, "nothing");
  EXPECT_FALSE(decision.freshness[0].update_price);
  EXPECT_EQ(decision.freshness[2].holds, "adapter, trained before the change");
  // What was trained before answers as it did: the old value was right then. RAG was measured on the documents of then.
  EXPECT_EQ(decision.freshness[2].changed_before.value, decision.freshness[2].stale.value);
  EXPECT_EQ(decision.freshness[2].stable_before.value, decision.freshness[2].stable.value);
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
  EXPECT_FALSE(decision.freshness[2].changed_before.value);
  ASSERT_EQ(decision.pattern.size(), 6u);
  EXPECT_EQ(decision.pattern[3].verdict, "cannot tell here");
  EXPECT_EQ(decision.pattern[5].verdict, "shown");
}

TEST(Decide, HoldsQloraAgainstLoraOfTheSameData) {
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

// Its weights are elsewhere: it is neither the base nor quantized from it.
TEST(Decide, AnEndpointIsNoQuantizedArm) {
  SyntheticPack pack = MakeSyntheticPack();
  for (ArmInfo& arm : pack.results.arms) arm.remote = arm.weights == "int8";
  EXPECT_TRUE(AnswerQuantization(pack.results).empty());
  for (ArmInfo& arm : pack.results.arms) arm.remote = arm.name == "base";
  EXPECT_EQ(BaseArm(pack.results)->name, "int8");
}

// Nothing is lost on the grid that the base's own weights were rounded to: that shows nothing.
TEST(Decide, TheGridOfTheSourceProvesNothing) {
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

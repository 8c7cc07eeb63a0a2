#include "decide/break_even.h"

#include <gtest/gtest.h>

#include "decide/costs.h"
#include "decide/rules.h"
#include "results/testing.h"

namespace qad {
namespace {

DecideOptions Options() {
  DecideOptions options;
  options.utilization = 1;
  options.queries_per_month = 30000;
  return options;
}

ArmEvidence TimedArm(const std::string& name, double low, double seconds, double high) {
  ArmEvidence arm;
  arm.arm = name;
  arm.moving_parts = 1;
  arm.memory = Estimate{4e8, 4e8, 4e8, 1};
  arm.query_seconds = Estimate{seconds, low, high, 5};
  arm.latency_p95 = Estimate{2, 2, 2, 5};
  return arm;
}

// RAG dearer by 1 s per query, LoRA dearer by 1,000 s per change and by 5,000 s of training.
struct Pair {
  Results results;
  Evidence evidence;
  Pair() {
    ArmEvidence rag = TimedArm("rag", 2, 2, 2), lora = TimedArm("lora", 1, 1, 1);
    rag.updated = rag.indexed = lora.updated = lora.trained = true;
    rag.update_seconds = 0;
    lora.update_seconds = 1000;
    lora.training_seconds = 0;
    evidence.arms = {rag, lora, TimedArm("base", 2.5, 3, 3.5)};
    results.arms.resize(3);
    results.arms[0].prompting = "rag";
    results.arms[1].adapter = "lora";
    for (size_t i = 0; i < 3; ++i) results.arms[i].name = evidence.arms[i].arm;
  }
  ArmEvidence& rag() { return evidence.arms[0]; }
  ArmEvidence& lora() { return evidence.arms[1]; }
  BreakEven Even() const { return FindBreakEven(results, evidence, Options()).at(0); }
  PayBack Pays(const std::string& arm, const std::string& than, const DecideOptions& options = Options()) const {
    for (const PayBack& pair : FindPayBack(results, evidence, options))
      if (pair.arm == arm && pair.than == than) return pair;
    return {.arm = "none", .than = {}, .middle = {}, .best = {}, .worst = {}};
  }
};

TEST(BreakEven, IsWhereBothCostTheSame) {
  const Pair pair;
  ASSERT_EQ(FindBreakEven(pair.results, pair.evidence, Options()).size(), 1u);
  EXPECT_EQ(pair.Even().middle.answer, "from");
  EXPECT_NEAR(pair.Even().middle.at, 30, 1e-9);
  const auto total = [&](size_t arm, double changes) {
    DecideOptions options = Options();
    options.changes_per_month = changes;
    return CostsOf(pair.evidence.arms[arm], options)->total;
  };
  EXPECT_LT(total(0, 31), total(1, 31));
  EXPECT_GT(total(0, 29), total(1, 29));
}

TEST(BreakEven, SaysAlwaysNeverAndUpTo) {
  Pair pair;
  pair.rag().query_seconds = Estimate{0.5, 0.5, 0.5, 5};
  EXPECT_EQ(pair.Even().middle.answer, "always");
  pair.rag().update_seconds = 2000;  // dearer to update, cheaper to ask
  EXPECT_EQ(pair.Even().middle.answer, "up to");
  EXPECT_NEAR(pair.Even().middle.at, 15, 1e-9);
  pair = Pair();
  pair.rag().update_seconds = 2000;
  EXPECT_EQ(pair.Even().middle.answer, "never");
  pair.rag().update_seconds.reset();
  EXPECT_TRUE(FindBreakEven(pair.results, pair.evidence, Options()).empty());
}

// The spread may reach another answer than its middle, and is not cut there.
TEST(BreakEven, HasItsSpread) {
  Pair pair;
  pair.rag().query_seconds = Estimate{1.1, 0.9, 1.5, 5};
  EXPECT_NEAR(pair.Even().middle.at, 3, 1e-9);
  EXPECT_EQ(pair.Even().best.answer, "always");
  EXPECT_EQ(pair.Even().worst.answer, "from");
  EXPECT_NEAR(pair.Even().worst.at, 15, 1e-9);
}

TEST(PayBack, IsFixedCostsByWhatAQuerySaves) {
  Pair pair;
  pair.lora().training_seconds = 5000;
  DecideOptions options = Options();
  options.changes_per_month = 1;
  options.horizon_months = 10;
  // (5,000 s + 10 × 1,000 s) ÷ (3 − 1) s
  const PayBack pays = pair.Pays("lora", "base", options);
  EXPECT_EQ(pays.middle.answer, "from");
  EXPECT_NEAR(pays.middle.at, 7500, 1e-6);
  EXPECT_NEAR(pays.best.at, 15000 / 2.5, 1e-6);
  EXPECT_NEAR(pays.worst.at, 15000 / 1.5, 1e-6);
  EXPECT_NEAR(pair.Pays("lora", "rag", options).middle.at, 15000, 1e-6);
  options.queries_per_month = 750;  // at that number both cost the same
  EXPECT_NEAR(CostsOf(pair.lora(), options)->total, CostsOf(pair.evidence.arms[2], options)->total, 1e-9);
}

TEST(PayBack, SetsWhatTakesWorkAgainstWhatTakesLess) {
  Pair pair;
  EXPECT_EQ(pair.Pays("rag", "base").middle.answer, "always");  // no hours have a price, and its queries are cheaper
  EXPECT_EQ(pair.Pays("base", "lora").arm, "none");
  EXPECT_EQ(pair.Pays("rag", "lora").arm, "none");
  pair.lora().training_seconds = 1;
  pair.lora().query_seconds = Estimate{4, 4, 4, 5};
  EXPECT_EQ(pair.Pays("lora", "base").middle.answer, "never");
  EXPECT_EQ(pair.Pays("lora", "rag").middle.answer, "never");
  pair.results.arms[0].weights = "int8";  // quantized ones are held against nothing
  EXPECT_EQ(pair.Pays("lora", "rag").arm, "none");
  pair.lora().training_seconds.reset();
  EXPECT_EQ(pair.Pays("lora", "base").arm, "none");
}

TEST(PairsToShow, TakesThePairAskedAboutAndTheBest) {
  SyntheticPack pack = MakeSyntheticPack();
  Decision decision;
  for (const char* rag : {"base + rag", "lora-grounded + rag"})
    decision.break_even.push_back({.rag = rag, .lora = "lora", .middle = {}, .best = {}, .worst = {}});
  const auto shown = [&] {
    std::vector<std::string> names;
    for (const BreakEven& pair : PairsToShow(pack.results, decision)) names.push_back(pair.rag);
    return names;
  };
  pack.results.comparisons.clear();
  EXPECT_EQ(shown(), std::vector<std::string>{"base + rag"});  // no topics: the first
  TopicAnswer changed;
  changed.topic = "changing facts";
  changed.slice = "facts/changed";
  changed.metric = "contains";
  decision.topics = {changed};
  EXPECT_EQ(shown(), std::vector<std::string>{"lora-grounded + rag"});
  Comparison asked;
  asked.better = "lora";
  asked.than = "base + rag";
  asked.declared = true;
  pack.results.comparisons = {asked};
  EXPECT_EQ(shown(), (std::vector<std::string>{"base + rag", "lora-grounded + rag"}));
  decision.break_even.clear();
  EXPECT_TRUE(shown().empty());
}

}  // namespace
}  // namespace qad

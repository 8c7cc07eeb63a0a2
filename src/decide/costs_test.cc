#include "decide/costs.h"

#include <gtest/gtest.h>

#include "results/results.h"

namespace qad {
namespace {

ArmEvidence TimedArm(double seconds) {
  ArmEvidence arm;
  arm.query_seconds = Estimate{seconds, seconds, seconds, 5};
  return arm;
}

TEST(Costs, AddUpOverTheHorizon) {
  ArmEvidence arm = TimedArm(2);
  arm.trained = arm.updated = true;
  arm.training_seconds = 3600;
  arm.update_seconds = 7200;
  DecideOptions options;
  options.price_per_hour = 1;
  options.utilization = 0.5;
  options.queries_per_month = 900;
  options.changes_per_month = 2;
  options.horizon_months = 10;
  const Costs costs = *CostsOf(arm, options);
  // Products and quotients of whole numbers: 1e-9 is far above rounding.
  EXPECT_NEAR(costs.per_thousand, 1000 * 2 / 3600.0 / 0.5, 1e-9);
  EXPECT_NEAR(costs.training, 1, 1e-9);
  EXPECT_NEAR(costs.updates, 2 * 2 * 10, 1e-9);
  EXPECT_NEAR(costs.queries, 900 * 10 * 2 / 3600.0 / 0.5, 1e-9);
  EXPECT_NEAR(costs.total, costs.training + costs.updates + costs.queries, 1e-9);
}

TEST(Costs, PeopleAndErrorsAreInputs) {
  ArmEvidence arm = TimedArm(2);
  arm.trained = arm.indexed = arm.updated = true;
  arm.training_seconds = 0;
  arm.update_seconds = 0;
  DecideOptions options;
  options.queries_per_month = 100;
  options.changes_per_month = 3;
  options.horizon_months = 2;
  options.hours = {.prompt = 1, .adapter = 2, .index = 4, .adapter_update = 8, .index_update = 16};
  const double machine = CostsOf(arm, options)->total;
  options.human_hour_price = 10;
  Costs costs = *CostsOf(arm, options);
  EXPECT_NEAR(costs.set_up, 10 * (1 + 2 + 4), 1e-9);
  EXPECT_NEAR(costs.updates, 10 * 16 * 3 * 2, 1e-9) << "an arm that looks up is brought up to date by its index";
  EXPECT_NEAR(costs.total, machine + costs.set_up + costs.updates, 1e-9);
  arm.indexed = false;
  EXPECT_NEAR(CostsOf(arm, options)->updates, 10 * 8 * 3 * 2, 1e-9);

  options.answers = {.wrong = 1, .stale = 5, .refused = 0.5};
  EXPECT_FALSE(CostsOf(arm, options)) << "errors have a price and were not counted";
  arm.errors = ErrorShares{.wrong = 0.25, .stale = 0.1, .refused = 0.2};
  costs = *CostsOf(arm, options);
  EXPECT_NEAR(costs.errors, (0.25 * 1 + 0.1 * 5 + 0.2 * 0.5) * 100 * 2, 1e-9);
  EXPECT_NEAR(costs.total, costs.training + costs.set_up + costs.updates + costs.queries + costs.errors, 1e-9);
}

Row ShareRow(const std::string& arm, const std::string& slice, const std::string& metric, double value,
             int64_t n = 40) {
  return {.arm = arm, .slice = slice, .metric = metric, .value = value, .low = {}, .high = {}, .n = n};
}

// Three answers of four are wrong on one slice, and on the other a tenth each is stale, refused falsely, and wrong.
TEST(Costs, ErrorsAreCountedOverTheMix) {
  Results results;
  results.arms = {
      {.name = "a", .weights = "bf16", .made = {}, .adapter = {}, .prompting = {}, .artefact = {}, .command = {}}};
  results.rows = {
      ShareRow("a", "behaviour", "exact", 0.25),        ShareRow("a", "facts/changed", "contains", 0.7),
      ShareRow("a", "facts/changed", "stale", 0.4, 10), ShareRow("a", "facts/changed", "false_refusal", 0.1),
      ShareRow("a", "facts/stable", "contains", 1.0),   ShareRow("a", "texts", "answer_log_likelihood", -3)};
  DecideOptions options;
  options.required = {{"behaviour", 0.6}};
  EXPECT_NEAR(GatherEvidence(results, options).arms[0].errors->wrong, 0.75, 1e-9);
  options.mix = {{"behaviour", 2}, {"facts", 2}};
  const ErrorShares shares = *GatherEvidence(results, options).arms[0].errors;
  EXPECT_NEAR(shares.wrong, 0.5 * 0.75 + 0.25 * 0.1, 1e-9);
  EXPECT_NEAR(shares.stale, 0.25 * 0.1, 1e-9);
  EXPECT_NEAR(shares.refused, 0.25 * 0.1, 1e-9);
  options.mix = {{"behaviour", 2}, {"texts", 1}};
  EXPECT_NEAR(GatherEvidence(results, options).arms[0].errors->wrong, 0.75, 1e-9) << "texts have no right answers";
  options.mix = {{"behaviour", 2}, {"nowhere", 1}};
  EXPECT_FALSE(GatherEvidence(results, options).arms[0].errors);
}

}  // namespace
}  // namespace qad

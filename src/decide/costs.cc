#include "decide/costs.h"

namespace qad {

std::optional<Estimate> QueryPrice(const ArmEvidence& arm, const DecideOptions& options) {
  if (!arm.query_seconds) return std::nullopt;
  const auto& [value, low, high, n] = *arm.query_seconds;
  if (arm.query_price) return Estimate{*arm.query_price, *arm.query_price, *arm.query_price, n};
  const auto price = [&](double seconds) { return seconds * PricePerSecond(options) / options.utilization; };
  return Estimate{price(value), price(low), price(high), n};
}

std::optional<double> ErrorPrice(const ArmEvidence& arm, const DecideOptions& options) {
  const AnswerPrices& prices = options.answers;
  if (!prices.any()) return 0;
  if (!arm.errors) return std::nullopt;
  return arm.errors->wrong * prices.wrong.value_or(0) + arm.errors->stale * prices.stale.value_or(0) +
         arm.errors->refused * prices.refused.value_or(0);
}

namespace {

double PriceOfHours(double hours, const DecideOptions& options) { return options.human_hour_price.value_or(0) * hours; }

double SetUpHours(const ArmEvidence& arm, const HumanHours& hours) {
  return hours.prompt + (arm.trained ? hours.adapter : 0) + (arm.indexed ? hours.index : 0);
}

}  // namespace

double UpdatePrice(const ArmEvidence& arm, const DecideOptions& options) {
  if (!arm.updated) return 0;
  const HumanHours& hours = options.hours;
  return arm.update_seconds.value_or(0) * PricePerSecond(options) +
         PriceOfHours(arm.indexed ? hours.index_update : hours.adapter_update, options);
}

std::optional<Costs> CostsOf(const ArmEvidence& arm, const DecideOptions& options) {
  const double updates = options.changes_per_month * options.horizon_months,
               queries = options.queries_per_month * options.horizon_months;
  const std::optional<Estimate> query = QueryPrice(arm, options);
  const std::optional<double> errors = ErrorPrice(arm, options);
  if (!query || !errors || (arm.trained && !arm.training_seconds)) return std::nullopt;
  if (arm.updated && !arm.update_seconds && updates > 0) return std::nullopt;
  Costs costs;
  costs.per_thousand = 1000 * query->value;
  costs.update_source = arm.update_source;
  costs.training = arm.training_seconds.value_or(0) * PricePerSecond(options);
  costs.set_up = PriceOfHours(SetUpHours(arm, options.hours), options);
  costs.per_update = UpdatePrice(arm, options);
  costs.updates = costs.per_update * updates;
  costs.queries = query->value * queries;
  costs.errors = *errors * queries;
  costs.total = costs.training + costs.set_up + costs.updates + costs.queries + costs.errors;
  return costs;
}

}  // namespace qad

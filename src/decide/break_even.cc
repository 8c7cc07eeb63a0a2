#include "decide/break_even.h"

#include <algorithm>

#include "decide/answers.h"
#include "decide/costs.h"

namespace qad {
namespace {

// From which x ≥ 0 on x · gain > cost.
Threshold Solve(double gain, double cost) {
  if (gain == 0) return {.answer = cost < 0 ? "always" : "never", .at = 0};
  if (gain > 0)
    return cost <= 0 ? Threshold{.answer = "always", .at = 0} : Threshold{.answer = "from", .at = cost / gain};
  return cost >= 0 ? Threshold{.answer = "never", .at = 0} : Threshold{.answer = "up to", .at = cost / gain};
}

// Of a query, with what its errors cost; nothing where either was not measured.
std::optional<Estimate> QueryCost(const ArmEvidence& arm, const DecideOptions& options) {
  std::optional<Estimate> cost = QueryPrice(arm, options);
  const std::optional<double> errors = ErrorPrice(arm, options);
  if (!cost || !errors) return std::nullopt;
  for (double* part : {&cost->value, &cost->low, &cost->high}) *part += *errors;
  return cost;
}

BreakEven CompareUpdates(const ArmEvidence& rag, const ArmEvidence& lora, const DecideOptions& options) {
  const Estimate ours = *QueryCost(rag, options), theirs = *QueryCost(lora, options);
  const double gain = UpdatePrice(lora, options) - UpdatePrice(rag, options), queries = options.queries_per_month;
  return {.rag = rag.arm,
          .lora = lora.arm,
          .middle = Solve(gain, queries * (ours.value - theirs.value)),
          .best = Solve(gain, queries * (ours.low - theirs.high)),
          .worst = Solve(gain, queries * (ours.high - theirs.low)),
          .query_difference = ours.value - theirs.value,
          .update_difference = gain};
}

// What is paid however few queries come, over the horizon.
double Fixed(const Costs& costs) { return costs.training + costs.set_up + costs.updates; }

PayBack CompareQueries(const ArmEvidence& arm, const ArmEvidence& than, const DecideOptions& options) {
  const Estimate ours = *QueryCost(arm, options), theirs = *QueryCost(than, options);
  const double fixed = Fixed(*CostsOf(arm, options)) - Fixed(*CostsOf(than, options));
  return {.arm = arm.arm,
          .than = than.arm,
          .middle = Solve(theirs.value - ours.value, fixed),
          .best = Solve(theirs.high - ours.low, fixed),
          .worst = Solve(theirs.low - ours.high, fixed),
          .fixed_difference = fixed,
          .saving = theirs.value - ours.value};
}

// How much has to be done before an arm answers: 0 a prompt, 1 an index, 2 an adapter.
int Effort(const ArmEvidence& arm) { return arm.trained ? 2 : arm.indexed ? 1 : 0; }

}  // namespace

std::vector<BreakEven> FindBreakEven(const Results& results, const Evidence& evidence, const DecideOptions& options) {
  std::vector<const ArmEvidence*> rag, lora;
  for (size_t i = 0; i < evidence.arms.size(); ++i) {
    const ArmEvidence& arm = evidence.arms[i];
    if (!arm.candidate || !arm.update_seconds || !QueryCost(arm, options)) continue;
    if (results.arms[i].prompting == "rag") rag.push_back(&arm);
    if (results.arms[i].prompting != "rag" && arm.trained) lora.push_back(&arm);
  }
  std::vector<BreakEven> all;
  for (const ArmEvidence* indexed : rag)
    for (const ArmEvidence* trained : lora) all.push_back(CompareUpdates(*indexed, *trained, options));
  return all;
}

std::vector<PayBack> FindPayBack(const Results& results, const Evidence& evidence, const DecideOptions& options) {
  std::vector<PayBack> all;
  const ArmInfo* base = BaseArm(results);
  const auto is_measured = [&](size_t i) {
    return evidence.arms[i].candidate && CostsOf(evidence.arms[i], options).has_value();
  };
  for (size_t i = 0; i < evidence.arms.size(); ++i)
    for (size_t k = 0; k < evidence.arms.size(); ++k) {
      const ArmEvidence &arm = evidence.arms[i], &than = evidence.arms[k];
      const ArmInfo& opponent = results.arms[k];
      const bool plain = opponent.remote || (base != nullptr && opponent.weights == base->weights);
      if (Effort(arm) > Effort(than) && plain && is_measured(i) && is_measured(k))
        all.push_back(CompareQueries(arm, than, options));
    }
  return all;
}

std::vector<BreakEven> PairsToShow(const Results& results, const Decision& decision) {
  std::vector<BreakEven> shown;
  const auto add = [&](const BreakEven* pair) {
    const auto is_same = [&](const BreakEven& other) { return other.rag == pair->rag && other.lora == pair->lora; };
    if (pair != nullptr && std::ranges::none_of(shown, is_same)) shown.push_back(*pair);
  };
  const BreakEven* declared = nullptr;
  for (const BreakEven& pair : decision.break_even)
    for (const Comparison& comparison : results.comparisons) {
      const bool is_theirs = (comparison.better == pair.rag && comparison.than == pair.lora) ||
                             (comparison.better == pair.lora && comparison.than == pair.rag);
      if (!comparison.declared || !is_theirs) continue;
      const auto is_fair = [&](const BreakEven& of) { return results.Arm(of.lora)->retrained; };
      if (declared == nullptr || (is_fair(pair) && !is_fair(*declared))) declared = &pair;
    }
  add(declared);
  const TopicAnswer* changed = FindTopic(decision.topics, "changing facts");
  const auto right = [&](const BreakEven& pair) {
    const auto of = [&](const std::string& arm) {
      return results.Value(arm, changed->slice, changed->metric).value_or(0);
    };
    return std::pair(of(pair.rag), of(pair.lora));
  };
  if (changed != nullptr && !decision.break_even.empty())
    add(&*std::ranges::max_element(decision.break_even, {}, right));
  if (shown.empty() && !decision.break_even.empty()) add(&decision.break_even.front());
  return shown;
}

}  // namespace qad

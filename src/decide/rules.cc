#include "decide/rules.h"

#include <algorithm>
#include <cmath>

#include "decide/costs.h"
#include "results/statistics.h"

namespace qad {
namespace {

// What a rule is about; the text is only made where it is to be shown.
struct Rule {
  enum class Kind : uint8_t { kMemory, kLatency, kUpdate, kSlice, kCost } kind;
  size_t slice = 0;  // index into the required slices
  Verdict verdict = Verdict::kPass;
};

Verdict JudgeUpdate(const ArmEvidence& arm, const DecideOptions& options) {
  if (!arm.updated) return Verdict::kPass;  // holds no facts of its own
  if (!arm.update_seconds) return Verdict::kUnproven;
  return *arm.update_seconds <= options.update_delay ? Verdict::kPass : Verdict::kFail;
}

// Calls visit(rule) for every rule in order, until it returns false.
template <typename Visit>
void ForEachRule(const ArmEvidence& arm, const std::vector<RequiredSlice>& required, const DecideOptions& options,
                 Visit visit) {
  using Kind = Rule::Kind;
  const auto budget = static_cast<double>(options.memory_budget);
  std::optional<Estimate> peak = arm.memory;
  if (peak) peak->high *= 1 + options.memory_margin;
  const Verdict memory = arm.remote ? Verdict::kPass : Judge(peak, budget, Side::kAtMost);
  if (options.memory_budget > 0 && !visit({Kind::kMemory, 0, memory})) return;
  if (!visit({Kind::kLatency, 0, Judge(arm.latency_p95, options.latency_p95, Side::kAtMost)})) return;
  if (!visit({Kind::kUpdate, 0, JudgeUpdate(arm, options)})) return;
  for (size_t i = 0; i < required.size(); ++i)
    if (!visit({Kind::kSlice, i, Judge(arm.quality[i], required[i].floor, Side::kAtLeast)})) return;
  visit({Kind::kCost, 0, CostsOf(arm, options) ? Verdict::kPass : Verdict::kUnproven});
}

bool PassesAll(const ArmEvidence& arm, const std::vector<RequiredSlice>& required, const DecideOptions& options) {
  bool passes = true;
  ForEachRule(arm, required, options, [&](const Rule& rule) { return passes = rule.verdict == Verdict::kPass; });
  return passes;
}

void Put(const std::optional<Estimate>& estimate, RuleCheck& check) {
  if (!estimate) return;
  check.value = estimate->value;
  check.low = estimate->low;
  check.high = estimate->high;
  check.n = estimate->n;
}

RuleCheck CheckOf(const std::string& rule, const std::string& metric, const std::string& unit, double limit) {
  RuleCheck check;
  check.rule = rule;
  check.metric = metric;
  check.unit = unit;
  check.limit = limit;
  return check;
}

RuleCheck SliceCheck(const std::optional<Estimate>& quality, const RequiredSlice& slice, Verdict verdict,
                     double confidence) {
  RuleCheck check = CheckOf(slice.slice, slice.metric, "share", slice.floor);
  Put(quality, check);
  if (quality && verdict == Verdict::kUnproven)
    check.items_needed = ItemsNeeded(quality->value, slice.floor, confidence);
  return check;
}

RuleCheck MakeCheck(const Rule& rule, const ArmEvidence& arm, const std::vector<RequiredSlice>& required,
                    const DecideOptions& options) {
  RuleCheck check;
  switch (rule.kind) {
    case Rule::Kind::kMemory:
      check = CheckOf("memory", "peak_rss_bytes", "bytes", static_cast<double>(options.memory_budget));
      Put(arm.memory, check);
      break;
    case Rule::Kind::kLatency:
      check = CheckOf("latency p95", "query_seconds_p95", "seconds", options.latency_p95);
      Put(arm.latency_p95, check);
      break;
    case Rule::Kind::kUpdate:
      check = CheckOf("update delay", "seconds_to_update", "seconds", options.update_delay);
      check.value = arm.update_seconds;
      break;
    case Rule::Kind::kSlice:
      check = SliceCheck(arm.quality[rule.slice], required[rule.slice], rule.verdict, options.confidence);
      break;
    case Rule::Kind::kCost:
      check = CheckOf("cost", "query_seconds", "seconds", 0);
      Put(arm.query_seconds, check);
      break;
  }
  check.verdict = Name(rule.verdict);
  return check;
}

}  // namespace

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kUnproven:
      return "unproven";
    case Verdict::kFail:
      return "fail";
  }
  return "";
}

Verdict Judge(const std::optional<Estimate>& estimate, double limit, Side side) {
  if (!estimate) return Verdict::kUnproven;
  if (side == Side::kAtLeast)
    return estimate->low >= limit ? Verdict::kPass : estimate->high < limit ? Verdict::kFail : Verdict::kUnproven;
  return estimate->high <= limit ? Verdict::kPass : estimate->low > limit ? Verdict::kFail : Verdict::kUnproven;
}

ArmDecision JudgeArm(const ArmEvidence& arm, const std::vector<RequiredSlice>& required, const DecideOptions& options) {
  ArmDecision decision;
  decision.arm = arm.arm;
  decision.candidate = arm.candidate;
  Verdict eligible = Verdict::kPass, adequate = Verdict::kPass;
  ForEachRule(arm, required, options, [&](const Rule& rule) {
    Verdict& stage = rule.kind == Rule::Kind::kSlice ? adequate : eligible;
    stage = std::max(stage, rule.verdict);
    decision.checks.push_back(MakeCheck(rule, arm, required, options));
    return true;
  });
  for (const char* verdict : {"fail", "unproven"})
    for (const RuleCheck& check : decision.checks)
      if (decision.first_failed.empty() && check.verdict == verdict) decision.first_failed = check.rule;
  decision.eligible = Name(eligible);
  decision.adequate = Name(adequate);
  decision.costs = CostsOf(arm, options);
  return decision;
}

std::optional<size_t> Choose(const Evidence& evidence, const DecideOptions& options) {
  std::vector<std::pair<size_t, double>> passes;  // index, total cost
  double lowest = INFINITY;
  for (size_t i = 0; i < evidence.arms.size(); ++i) {
    const ArmEvidence& arm = evidence.arms[i];
    if (!arm.candidate || !PassesAll(arm, evidence.required, options)) continue;
    passes.emplace_back(i, CostsOf(arm, options)->total);
    lowest = std::min(lowest, passes.back().second);
  }
  std::erase_if(passes, [&](const auto& pass) { return pass.second > lowest * (1 + kTieInCost); });
  if (passes.empty()) return std::nullopt;
  const auto best = std::min_element(passes.begin(), passes.end(), [&](const auto& a, const auto& b) {
    return std::pair(evidence.arms[a.first].moving_parts, a.second) <
           std::pair(evidence.arms[b.first].moving_parts, b.second);
  });
  return best->first;
}

std::optional<int64_t> ItemsNeeded(double value, double limit, double confidence) {
  if (value == limit) return std::nullopt;
  const double reach = NormalQuantile((1 + confidence) / 2) * std::sqrt(limit * (1 - limit)) +
                       NormalQuantile(kPower) * std::sqrt(value * (1 - value));
  return static_cast<int64_t>(std::ceil(reach * reach / ((value - limit) * (value - limit))));
}

}  // namespace qad

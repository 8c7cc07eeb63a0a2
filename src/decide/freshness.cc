#include "decide/freshness.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "decide/answers.h"
#include "decide/costs.h"
#include "decide/rules.h"

namespace qad {
namespace {

constexpr double kWeeksOfMonth = 365.25 / 12 / 7;

std::string Holds(const ArmInfo& arm) {
  if (arm.prompting == "rag") return "index of the documents now";
  if (arm.adapter.empty()) return "nothing";
  return arm.retrained ? "adapter, trained after the change" : "adapter, trained before the change";
}

ShareAnswer ShareOf(const Results& results, const std::string& arm, const std::string& slice,
                    const std::string& metric) {
  const Row* row = results.Find(arm, slice, metric);
  if (row == nullptr) return {};
  return {.value = row->value, .low = row->low, .high = row->high};
}

}  // namespace

std::vector<FreshnessAnswer> CheckFreshness(const Results& results, const Evidence& evidence,
                                            const std::vector<TopicAnswer>& topics, const DecideOptions& options) {
  std::vector<FreshnessAnswer> answers;
  const TopicAnswer *changed = FindTopic(topics, "changing facts"), *stable = FindTopic(topics, "stable facts");
  if (changed == nullptr) return answers;
  const ArmInfo* base = BaseArm(results);
  for (size_t i = 0; i < results.arms.size(); ++i) {
    const ArmInfo& info = results.arms[i];
    const ArmEvidence& arm = evidence.arms[i];
    if (!info.IsCandidate() || !(arm.updated || &info == base)) continue;
    FreshnessAnswer answer;
    answer.arm = info.name;
    answer.holds = Holds(info);
    answer.trained_before = !info.adapter.empty() && info.prompting != "rag" && !info.retrained;
    if (stable != nullptr) answer.stable = ShareOf(results, info.name, stable->slice, stable->metric);
    answer.changed = ShareOf(results, info.name, changed->slice, changed->metric);
    answer.stale = ShareOf(results, info.name, changed->slice, "stale");
    if (stable != nullptr) answer.stable_before = ShareOf(results, info.name, stable->slice, kBeforeMetric);
    answer.changed_before = ShareOf(results, info.name, changed->slice, kBeforeMetric);
    answer.update_seconds = arm.update_seconds;
    answer.update_source = arm.update_source;
    if (arm.updated && arm.update_seconds) answer.update_price = UpdatePrice(arm, options);
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::vector<std::string> AnswerWeekly(const Decision& decision, const Evidence& evidence,
                                      const DecideOptions& options) {
  DecideOptions weekly = options;
  weekly.changes_per_month = kWeeksOfMonth;
  const auto winner = Choose(evidence, weekly);
  std::vector<std::string> said = {
      fmt::format("At one change a week ({:.2f} a month) the rules choose {}{}.", kWeeksOfMonth,
                  winner ? evidence.arms[*winner].arm : "none of the arms",
                  winner && evidence.arms[*winner].arm == decision.recommended ? ", as now" : "")};
  std::string costs;
  for (const ArmEvidence& arm : evidence.arms) {
    const auto of = arm.candidate && arm.updated ? CostsOf(arm, weekly) : std::nullopt;
    if (of)
      costs += fmt::format("{}{} {} ({} of it updates)", costs.empty() ? "" : ", ", arm.arm, FormatMoney(of->total),
                           FormatMoney(of->updates));
  }
  if (!costs.empty())
    said.push_back(fmt::format("Over {} months the arms that hold facts would then cost: {}.",
                               FormatNumber(options.horizon_months), costs));
  for (const FreshnessAnswer& answer : decision.freshness)
    if (answer.trained_before && answer.changed.value && answer.stale.value)
      said.push_back(fmt::format(
          "Until it is trained again, {} answers {} of the changed facts right and {} with their old value.",
          answer.arm, FormatShare(*answer.changed.value), FormatShare(*answer.stale.value)));
  return said;
}

}  // namespace qad

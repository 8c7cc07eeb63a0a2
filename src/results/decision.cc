#include "results/decision.h"

#include "base/error.h"
#include "base/files.h"
#include "results/json_fields.h"

namespace qad {

template <typename Visitor>
void Fields(Visitor& visit, RuleCheck& check) {
  visit("rule", check.rule);
  visit("metric", check.metric);
  visit("unit", check.unit);
  visit("verdict", check.verdict);
  visit("value", check.value);
  visit("low", check.low);
  visit("high", check.high);
  visit("limit", check.limit);
  visit("n", check.n);
  visit("items_needed", check.items_needed);
}

template <typename Visitor>
void Fields(Visitor& visit, Costs& costs) {
  visit("per_thousand", costs.per_thousand);
  visit("training", costs.training);
  visit("set_up", costs.set_up);
  visit("per_update", costs.per_update);
  visit("updates", costs.updates);
  visit("queries", costs.queries);
  visit("errors", costs.errors);
  visit("total", costs.total);
  visit("update_source", costs.update_source);
}

template <typename Visitor>
void Fields(Visitor& visit, ArmDecision& arm) {
  visit("arm", arm.arm);
  visit("candidate", arm.candidate);
  visit("eligible", arm.eligible);
  visit("adequate", arm.adequate);
  visit("checks", arm.checks);
  visit("first_failed", arm.first_failed);
  visit("costs", arm.costs);
  visit("chosen", arm.chosen);
}

template <typename Visitor>
void Fields(Visitor& visit, RequiredSlice& required) {
  visit("slice", required.slice);
  visit("metric", required.metric);
  visit("floor", required.floor);
}

template <typename Visitor>
void Fields(Visitor& visit, Flip& flip) {
  visit("constraint", flip.constraint);
  visit("unit", flip.unit);
  visit("now", flip.now);
  visit("at", flip.at);
  visit("winner", flip.winner);
  visit("distance", flip.distance);
  visit("searched_low", flip.searched_low);
  visit("searched_high", flip.searched_high);
}

template <typename Visitor>
void Fields(Visitor& visit, WinnerMap& map) {
  visit("queries_per_month", map.queries_per_month);
  visit("changes_per_month", map.changes_per_month);
  visit("winners", map.winners);
}

template <typename Visitor>
void Fields(Visitor& visit, PairMap& pair) {
  visit("rag", pair.rag);
  visit("lora", pair.lora);
  visit("map", pair.map);
}

template <typename Visitor>
void Fields(Visitor& visit, Threshold& threshold) {
  visit("answer", threshold.answer);
  visit("at", threshold.at);
}

template <typename Visitor>
void Fields(Visitor& visit, PayBack& pay_back) {
  visit("arm", pay_back.arm);
  visit("than", pay_back.than);
  visit("middle", pay_back.middle);
  visit("best", pay_back.best);
  visit("worst", pay_back.worst);
  visit("fixed_difference", pay_back.fixed_difference);
  visit("saving", pay_back.saving);
}

template <typename Visitor>
void Fields(Visitor& visit, BreakEven& even) {
  visit("rag", even.rag);
  visit("lora", even.lora);
  visit("middle", even.middle);
  visit("best", even.best);
  visit("worst", even.worst);
  visit("query_difference", even.query_difference);
  visit("update_difference", even.update_difference);
}

template <typename Visitor>
void Fields(Visitor& visit, TopicAnswer& topic) {
  visit("topic", topic.topic);
  visit("slice", topic.slice);
  visit("metric", topic.metric);
  visit("winner", topic.winner);
  visit("opponent", topic.opponent);
  visit("value", topic.value);
  visit("low", topic.low);
  visit("high", topic.high);
  visit("opponent_value", topic.opponent_value);
  visit("baseline", topic.baseline);
  visit("baseline_value", topic.baseline_value);
  visit("difference", topic.difference);
  visit("difference_low", topic.difference_low);
  visit("difference_high", topic.difference_high);
  visit("declared", topic.declared);
  visit("verdict", topic.verdict);
}

template <typename Visitor>
void Fields(Visitor& visit, QuantizationAnswer& answer) {
  visit("arm", answer.arm);
  visit("base", answer.base);
  visit("verdict", answer.verdict);
  visit("basis", answer.basis);
  visit("weights_bytes", answer.weights_bytes);
  visit("base_weights_bytes", answer.base_weights_bytes);
  visit("kv_bytes", answer.kv_bytes);
  visit("base_kv_bytes", answer.base_kv_bytes);
  visit("decode", answer.decode);
  visit("base_decode", answer.base_decode);
  visit("prefill", answer.prefill);
  visit("base_prefill", answer.base_prefill);
  visit("decode_tie", answer.decode_tie);
  visit("prefill_tie", answer.prefill_tie);
}

template <typename Visitor>
void Fields(Visitor& visit, ShareAnswer& share) {
  visit("value", share.value);
  visit("low", share.low);
  visit("high", share.high);
}

template <typename Visitor>
void Fields(Visitor& visit, FreshnessAnswer& answer) {
  visit("arm", answer.arm);
  visit("holds", answer.holds);
  visit("trained_before", answer.trained_before);
  visit("stable_before", answer.stable_before);
  visit("changed_before", answer.changed_before);
  visit("stable", answer.stable);
  visit("changed", answer.changed);
  visit("stale", answer.stale);
  visit("update_seconds", answer.update_seconds);
  visit("update_price", answer.update_price);
  visit("update_source", answer.update_source);
}

template <typename Visitor>
void Fields(Visitor& visit, SliceDifference& difference) {
  visit("slice", difference.slice);
  visit("metric", difference.metric);
  visit("value", difference.value);
  visit("difference", difference.difference);
  visit("low", difference.low);
  visit("high", difference.high);
}

template <typename Visitor>
void Fields(Visitor& visit, DeploymentAnswer& answer) {
  visit("arm", answer.arm);
  visit("adapter", answer.adapter);
  visit("deployed", answer.deployed);
  visit("resident_bytes", answer.resident_bytes);
  visit("kl", answer.kl);
  visit("kl_low", answer.kl_low);
  visit("kl_high", answer.kl_high);
  visit("same_top1", answer.same_top1);
  visit("likelihood_lost", answer.likelihood_lost);
  visit("slices", answer.slices);
  visit("verdict", answer.verdict);
  visit("basis", answer.basis);
  visit("remedy", answer.remedy);
  visit("remedy_basis", answer.remedy_basis);
}

template <typename Visitor>
void Fields(Visitor& visit, PatternStatement& statement) {
  visit("statement", statement.statement);
  visit("verdict", statement.verdict);
  visit("figure", statement.figure);
}

template <typename Visitor>
void Fields(Visitor& visit, Decision& decision) {
  visit("partial", decision.partial);
  visit("recommended", decision.recommended);
  visit("closest", decision.closest);
  visit("runner_up", decision.runner_up);
  visit("undecided", decision.undecided);
  visit("headline", decision.headline);
  visit("required", decision.required);
  visit("arms", decision.arms);
  visit("resamples", decision.resamples);
  visit("nothing", decision.nothing);
  visit("flips", decision.flips);
  visit("map", decision.map);
  visit("cheaper", decision.cheaper);
  visit("break_even", decision.break_even);
  visit("pay_back", decision.pay_back);
  visit("topics", decision.topics);
  visit("quantization", decision.quantization);
  visit("freshness", decision.freshness);
  visit("weekly", decision.weekly);
  visit("qlora", decision.qlora);
  visit("deployment", decision.deployment);
  visit("pattern", decision.pattern);
  visit("unknowns", decision.unknowns);
  visit("utilization", decision.utilization);
  visit("queries_per_month", decision.queries_per_month);
  visit("changes_per_month", decision.changes_per_month);
  visit("horizon_months", decision.horizon_months);
  visit("price_per_hour", decision.price_per_hour);
}

const ArmDecision* Decision::Arm(std::string_view arm) const {
  for (const ArmDecision& candidate : arms)
    if (candidate.arm == arm) return &candidate;
  return nullptr;
}

std::string Decision::TopicsNotEvaluated() const {
  std::string names;
  for (const TopicAnswer& topic : topics)
    if (topic.slice.empty()) names += (names.empty() ? "" : ", ") + topic.topic;
  return names;
}

Json DecisionToJson(const Decision& decision) {
  Decision copy = decision;
  return FieldWriter::Value(copy);
}

Decision DecisionFromJson(const Json& json, const std::string& where) {
  Decision decision;
  FieldReader::Read(json, where, decision);
  return decision;
}

Decision ReadDecision(const std::filesystem::path& path) {
  const Json json = ReadJsonFile(path);
  try {
    return DecisionFromJson(json, path.string());
  } catch (const Error& error) {
    FailInput("{}; it may be of another version: `qad decide` makes it again", error.what());
  }
}

void WriteDecision(const std::filesystem::path& path, const Decision& decision) {
  WriteFileAtomic(path, DumpJson(DecisionToJson(decision)));
}

}  // namespace qad

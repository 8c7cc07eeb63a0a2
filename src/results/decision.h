// The decision as data: decide/ fills it, report/ prints it, decision.json keeps it beside results.json. Money is in
// the currency of hardware.price_per_hour, times are seconds, sizes bytes, shares 0…1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace qad {

// KL divergence up to which predictions count as the same, nats per token. Published 6-bit files lie below it
// (llama.cpp's q6_K on Llama-3-8B 0.0047), 4-bit files above (0.031).
inline constexpr double kEquivalentKl = 0.02;

// What kind of figure a limit holds, so that the report can print it in the right unit.
//   "bytes", "seconds", "share", "per month", "months"

// One rule held against one arm. Verdicts: "pass", "fail", "unproven" (the interval straddles the limit, or not
// measured).
struct RuleCheck {
  std::string rule;    // "memory", "latency p95", "update delay", "cost", or the slice
  std::string metric;  // the row it was read from: "peak_rss_bytes", "exact"
  std::string unit;
  std::string verdict;
  std::optional<double> value, low, high;  // nothing: not measured
  double limit = 0;
  int64_t n = 0;                        // items or repetitions behind the value
  std::optional<int64_t> items_needed;  // unproven on a slice: items that settle it if the rate stays as it is
};

// What an arm costs. total = training + set_up + updates + queries + errors, over the horizon.
struct Costs {
  double per_thousand = 0;  // queries, at the declared utilization
  double training = 0;      // once, the machine's
  double set_up = 0;        // once, hours of people
  double per_update = 0;    // retrain and evaluate again, or index again
  double updates = 0;       // per_update × changes × months
  double queries = 0;
  double errors = 0;  // of the answers that are not right
  double total = 0;
  std::string update_source;  // what per_update was measured as
};

struct ArmDecision {
  std::string arm;
  bool candidate = true;           // false: a baseline without a language model
  std::string eligible, adequate;  // verdicts over their rules: fail before unproven before pass
  std::vector<RuleCheck> checks;   // in the order of the rules
  std::string first_failed;        // first rule that fails, else first that is unproven; empty where all pass
  std::optional<Costs> costs;      // nothing: latency, or a training or update it needs, was not measured
  std::optional<double> chosen;    // share of resamples in which the rules choose this arm
};

struct RequiredSlice {
  std::string slice, metric;
  double floor = 0;  // that the lower bound must reach
};

// A constraint moved alone until the rules choose another arm.
struct Flip {
  std::string constraint, unit;  // "memory budget", "floor of facts/stable"
  double now = 0;
  std::optional<double> at;  // nothing: no flip in the range searched
  std::string winner;        // there; empty: no arm
  double distance = 0;       // |at − now| / now
  double searched_low = 0, searched_high = 0;
};

// Which arm wins (empty: none) at winners[row of changes][column of queries].
struct WinnerMap {
  std::vector<double> queries_per_month, changes_per_month;
  std::vector<std::vector<std::string>> winners;
};

// For which numbers something holds: "from" `at` on, "up to" it, "always", "never".
struct Threshold {
  std::string answer;
  double at = 0;
};

// Changes per month for which `rag` costs less than `lora`: queries × (RAG − LoRA per query) ÷ (retrain − re-index).
struct BreakEven {
  std::string rag, lora;
  Threshold middle, best, worst;  // for rag, over the spread of the rounds of speed measurement
  double query_difference = 0;    // RAG − LoRA per query
  double update_difference = 0;   // retrain − re-index
};

// Queries in all, over the horizon, for which `arm` costs less than `than`: what more it takes before and beside the
// queries ÷ what less each costs.
struct PayBack {
  std::string arm, than;
  Threshold middle, best, worst;  // for arm, likewise
  double fixed_difference = 0;    // training, set-up and updates: arm − than
  double saving = 0;              // per query: than − arm
};

// Which of two arms costs less.
struct PairMap {
  std::string rag, lora;
  WinnerMap map;
};

// The winner on one kind of task, and how it compares with the best arm of another kind.
struct TopicAnswer {
  std::string topic;          // "behaviour", "stable facts", "changing facts", "unanswerable", or the slice
  std::string slice, metric;  // empty: no such slice in this run
  std::string winner, opponent;
  std::optional<double> value, low, high;  // of the winner
  std::optional<double> opponent_value;
  std::string baseline;  // the best reference without a language model, where one was scored
  std::optional<double> baseline_value;
  std::optional<double> difference, difference_low, difference_high;  // paired, winner − opponent
  bool declared = false;                                              // a declared comparison; else exploratory
  std::string verdict;  // "better", "worse", "equivalent", "cannot tell", "exploratory"
};

// One quantized artefact against the base.
struct QuantizationAnswer {
  std::string arm, base;
  std::string verdict;  // "equivalent", "worse", "cannot tell": by KL divergence, else by comparison
  std::string basis;    // what the verdict rests on, with its figure
  std::optional<double> weights_bytes, base_weights_bytes, kv_bytes, base_kv_bytes;
  std::optional<double> decode, base_decode, prefill, base_prefill;  // tokens per second
  // Whether the ranges over the rounds of both overlap: such a difference is none.
  std::optional<bool> decode_tie, prefill_tie;
};

// A share with its interval, where it was measured.
struct ShareAnswer {
  std::optional<double> value, low, high;
};

// One arm when facts change.
struct FreshnessAnswer {
  std::string arm, holds;       // what it has the facts in
  bool trained_before = false;  // in an adapter that has not seen what changed
  // Right before the update, on facts that were to stay and on those that were to change; nothing for what was made
  // after it.
  ShareAnswer stable_before, changed_before;
  ShareAnswer stable, changed, stale;  // right on facts that stayed, on those that changed; the old value given there
  std::optional<double> update_seconds, update_price;  // of one change; nothing: it holds no facts, or not measured
  std::string update_source;
};

// A form's answers on a slice, less those of the adapter as it was trained, paired by item.
struct SliceDifference {
  std::string slice, metric;
  double value = 0;  // of the form
  double difference = 0, low = 0, high = 0;
};

// What is left of a training in one form in which it may be served.
struct DeploymentAnswer {
  std::string arm, adapter, deployed;                    // as Form has them
  std::optional<double> resident_bytes;                  // weights and adapter
  std::optional<double> kl, kl_low, kl_high, same_top1;  // on the right answers, from the adapter as it was trained
  std::optional<double> likelihood_lost;                 // nats per token of the right answers
  std::vector<SliceDifference> slices;                   // empty: it did not answer, or the other did not
  std::string verdict, basis;        // "kept", "differs", "lost", "cannot tell"; where lost, the slices that are worse
  std::string remedy, remedy_basis;  // the arm that has lost nothing and is as small; empty: none was measured
};

struct PatternStatement {
  std::string statement;
  std::string verdict;  // "shown", "not shown", "cannot tell here"
  std::string figure;   // what it rests on, or what is missing
};

struct Decision {
  bool partial = false;               // made from a partial run: an exercise of the rules, not a decision
  std::string recommended;            // empty: none
  std::string closest;                // to passing, where none is recommended; empty where none was measured
  std::string runner_up;              // the other arm most often chosen in resamples; "nothing" for none
  bool undecided = false;             // the recommended one was chosen in fewer than 80% of resamples
  std::vector<std::string> headline;  // three lines: what, at what cost, how sure
  std::vector<RequiredSlice> required;
  std::vector<ArmDecision> arms;
  int64_t resamples = 0;          // 0: not computed
  std::optional<double> nothing;  // share of resamples in which no arm passes
  std::vector<Flip> flips;
  WinnerMap map;                 // by the whole rule
  std::vector<PairMap> cheaper;  // by cost alone, of some pairs of break_even
  std::vector<BreakEven> break_even;
  std::vector<PayBack> pay_back;
  std::vector<TopicAnswer> topics;
  std::vector<QuantizationAnswer> quantization;  // smallest artefact first
  std::vector<FreshnessAnswer> freshness;        // empty: no slice of changing facts
  std::vector<std::string> weekly, qlora;        // sentences: facts that change weekly; whether QLoRA is worth it
  std::vector<DeploymentAnswer> deployment;      // of adapters, as results.forms has them
  std::vector<PatternStatement> pattern;
  std::vector<std::string> unknowns;  // what this run cannot know
  double utilization = 1, queries_per_month = 0, changes_per_month = 0, horizon_months = 0, price_per_hour = 0;

  const ArmDecision* Arm(std::string_view arm) const;  // null where missing
  std::string TopicsNotEvaluated() const;              // "stable facts, unanswerable"; empty where all were
};

// JSON with the fields' own names. Errors of reading (kInput): a missing or wrong field, with `where` in front.
Json DecisionToJson(const Decision& decision);
Decision DecisionFromJson(const Json& json, const std::string& where);

// decision.json. Errors: kInput (missing, malformed), kFailed (cannot be written).
Decision ReadDecision(const std::filesystem::path& path);
void WriteDecision(const std::filesystem::path& path, const Decision& decision);

}  // namespace qad

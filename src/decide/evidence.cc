#include "decide/evidence.h"

#include <fmt/format.h>

#include <algorithm>

#include "results/slices.h"
#include "results/statistics.h"

namespace qad {
namespace {

// The row of the arm itself, else of the first arm that shares the adapter (a training belongs to all arms that use
// it).
const Row* AdapterRow(const Results& results, const ArmInfo& arm, std::string_view slice, std::string_view metric) {
  if (const Row* own = results.Find(arm.name, slice, metric)) return own;
  if (const Row* named = results.Find(arm.adapter, slice, metric)) return named;
  for (const ArmInfo& other : results.arms)
    if (other.adapter == arm.adapter)
      if (const Row* shared = results.Find(other.name, slice, metric)) return shared;
  return nullptr;
}

// One index serves all RAG arms: any of them may carry the row.
const Row* IndexUpdateRow(const Results& results, const ArmInfo& arm) {
  if (const Row* own = results.Find(arm.name, kUpdateSlice, "seconds_to_update")) return own;
  for (const ArmInfo& other : results.arms)
    if (other.prompting == "rag" && (other.adapter.empty() || other.adapter == arm.adapter))
      if (const Row* shared = results.Find(other.name, kUpdateSlice, "seconds_to_update")) return shared;
  return nullptr;
}

// Items this arm was scored on, each once: a slice that is the union of others adds none.
int64_t ItemsOf(const Results& results, const std::string& arm) {
  int64_t items = 0;
  for (const std::string& slice : results.LeafSlices()) {
    int64_t most = 0;
    for (const Row& row : results.rows)
      if (row.arm == arm && row.slice == slice) most = std::max(most, row.n);
    items += most;
  }
  return items;
}

// The slices that a name stands for: those below it, all that have none below them for "all", else itself.
std::vector<std::string> LeavesOf(const Results& results, const std::string& name) {
  std::vector<std::string> leaves;
  for (const std::string& slice : results.LeafSlices())
    if (SliceMatches(slice, name) && slice != name) leaves.push_back(slice);
  if (leaves.empty()) leaves.push_back(name);
  return leaves;
}

// Slices with their weights in the mix: a name stands for those below it, which share its weight alike.
std::vector<std::pair<std::string, double>> WeightsOf(const Results& results,
                                                      const std::vector<RequiredSlice>& required,
                                                      const std::map<std::string, double>& mix) {
  std::vector<std::pair<std::string, double>> weights;
  if (mix.empty()) {
    for (const RequiredSlice& slice : required) weights.emplace_back(slice.slice, 1.0);
    return weights;
  }
  for (const auto& [name, weight] : mix) {
    const std::vector<std::string> leaves = LeavesOf(results, name);
    for (const std::string& leaf : leaves) weights.emplace_back(leaf, weight / static_cast<double>(leaves.size()));
  }
  return weights;
}

// A share of all items of the slice: rejected answers are listed for some of them alone, and refusals false where there
// is an answer.
double ShareOfAll(const Results& results, const std::string& arm, const std::string& slice, const char* metric,
                  const Row& judged) {
  const Row* row = results.Find(arm, slice, metric);
  return row == nullptr || judged.n == 0 ? 0 : row->value * static_cast<double>(row->n) / static_cast<double>(judged.n);
}

// Slices of plain text have no right answers and count nothing. Nothing where another slice of the mix was not scored.
std::optional<ErrorShares> GatherErrors(const Results& results, const std::string& arm,
                                        const std::vector<std::pair<std::string, double>>& weights) {
  ErrorShares shares;
  double whole = 0;
  for (const auto& [slice, weight] : weights) {
    const std::string metric = PrimaryMetric(results, slice);
    const Row* judged = results.Find(arm, slice, metric);
    if (judged == nullptr) return std::nullopt;
    if (!SaysWhatIsRight(metric)) continue;
    const double stale = ShareOfAll(results, arm, slice, "stale", *judged),
                 refused = ShareOfAll(results, arm, slice, "false_refusal", *judged);
    shares.stale += weight * stale;
    shares.refused += weight * refused;
    shares.wrong += weight * std::max(0.0, 1 - judged->value - stale - refused);
    whole += weight;
  }
  if (!(whole > 0)) return std::nullopt;
  return ErrorShares{shares.wrong / whole, shares.stale / whole, shares.refused / whole};
}

void GatherUpdate(const Results& results, const ArmInfo& info, ArmEvidence& arm) {
  const bool indexed = arm.indexed = info.prompting == "rag";
  arm.updated = indexed || arm.trained;
  if (!arm.updated) return;
  const Row* row =
      indexed ? IndexUpdateRow(results, info) : AdapterRow(results, info, kUpdateSlice, "seconds_to_update");
  if (row) {
    arm.update_seconds = row->value;
    arm.update_source = indexed ? "re-index, measured" : "retrain and evaluate, measured";
  } else if (!indexed && arm.training_seconds && arm.query_seconds) {
    const int64_t items = ItemsOf(results, info.name);
    arm.update_seconds = *arm.training_seconds + static_cast<double>(items) * arm.query_seconds->value;
    arm.update_source = fmt::format("the measured training again and {} items evaluated one by one", items);
  }
}

ArmEvidence GatherArm(const Results& results, const ArmInfo& info, const std::vector<RequiredSlice>& required,
                      const DecideOptions& options) {
  ArmEvidence arm;
  arm.arm = info.name;
  arm.candidate = info.IsCandidate();
  arm.replica_of = info.replica_of;
  arm.remote = info.remote;
  arm.moving_parts = info.moving_parts;
  arm.query_price = results.Value(info.name, kSpeedSlice, "query_price");
  for (const RequiredSlice& slice : required)
    arm.quality.push_back(EstimateFrom(results.Find(info.name, slice.slice, slice.metric), options.confidence));
  arm.memory = EstimateFrom(results.Find(info.name, kMemorySlice, "peak_rss_bytes"), options.confidence);
  // What a query takes with the answers this arm gives; without that row, with the fixed length of the timing.
  const Row* query = results.Find(info.name, kSpeedSlice, "query_seconds");
  arm.query_seconds =
      EstimateFrom(query ? query : results.Find(info.name, kSpeedSlice, "latency_p50"), options.confidence);
  const Row* slow = results.Find(info.name, kSpeedSlice, "query_seconds_p95");
  arm.latency_p95 = EstimateFrom(slow ? slow : results.Find(info.name, kSpeedSlice, "latency_p95"), options.confidence);
  arm.trained = !info.adapter.empty();
  if (arm.trained)
    if (const Row* row = AdapterRow(results, info, kTrainingSlice, "seconds")) arm.training_seconds = row->value;
  GatherUpdate(results, info, arm);
  arm.errors = GatherErrors(results, info.name, WeightsOf(results, required, options.mix));
  return arm;
}

bool IsShare(const Row& row) { return row.value >= 0 && row.value <= 1 && !IsGroup(row.slice); }

}  // namespace

std::optional<Estimate> EstimateFrom(const Row* row, double confidence) {
  if (!row) return std::nullopt;
  Estimate estimate{row->value, row->low.value_or(row->value), row->high.value_or(row->value), row->n};
  if (!row->low && !row->high && IsShare(*row)) {
    const Interval interval = WilsonInterval(row->value, static_cast<double>(row->n), confidence);
    estimate.low = interval.low;
    estimate.high = interval.high;
  }
  return estimate;
}

std::vector<RequiredSlice> RequiredSlices(const Results& results, const DecideOptions& options) {
  std::vector<RequiredSlice> required;
  for (const auto& [name, floor] : options.required) {
    for (const std::string& slice : LeavesOf(results, name))
      required.push_back({slice, PrimaryMetric(results, slice), floor});
  }
  return required;
}

Evidence GatherEvidence(const Results& results, const DecideOptions& options) {
  Evidence evidence{.required = RequiredSlices(results, options), .arms = {}};
  for (const ArmInfo& info : results.arms)
    evidence.arms.push_back(GatherArm(results, info, evidence.required, options));
  return evidence;
}

}  // namespace qad

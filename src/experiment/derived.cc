#include "experiment/derived.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "experiment/stages.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

std::vector<Sample> SamplesOfArm(const fs::path& root, const std::string& arm) {
  return ReadSamples(root / "samples" / SamplesFileName(arm));
}

// Declared comparisons are corrected together. Beside them every arm is compared with the base on the primary metric of
// each slice: exploratory.
void Compare(const Workspace& workspace, const std::vector<bool>& beforehand, Results& results) {
  const EvalOptions& eval = workspace.config.eval;
  const CompareOptions options{
      .confidence = eval.confidence, .bootstrap = eval.bootstrap, .seed = workspace.config.seed, .margin = eval.margin};
  for (size_t i = 0; i < beforehand.size(); ++i) {
    const ComparisonConfig& asked = workspace.config.comparisons[i];
    Comparison comparison = ComparePaired(SamplesOfArm(workspace.root, asked.better),
                                          SamplesOfArm(workspace.root, asked.than), asked.slice, asked.metric, options);
    comparison.declared = beforehand[i];
    if (!beforehand[i] && !workspace.quiet)
      fmt::print(stderr, "! {} − {} on {} ({}) was added when both had answered: exploratory, without a verdict\n",
                 asked.better, asked.than, asked.slice, asked.metric);
    results.comparisons.push_back(std::move(comparison));
  }
  const std::string& base = workspace.config.arms.front().name;
  const std::vector<Sample> base_samples = SamplesOfArm(workspace.root, base);
  for (const ArmConfig& arm : workspace.config.arms) {
    if (arm.name == base) continue;
    const std::vector<Sample> samples = SamplesOfArm(workspace.root, arm.name);
    for (const std::string& slice : results.Slices()) {
      const std::string metric = PrimaryMetric(results, slice);
      if (results.Find(arm.name, slice, metric) == nullptr) continue;
      const bool is_there = std::ranges::any_of(results.comparisons, [&](const Comparison& c) {
        const bool is_pair = (c.better == arm.name && c.than == base) || (c.better == base && c.than == arm.name);
        return is_pair && c.slice == slice && c.metric == metric;
      });
      if (!is_there) results.comparisons.push_back(ComparePaired(samples, base_samples, slice, metric, options));
    }
  }
  CorrectDeclared(results.comparisons, options);
}

// What an update of the facts costs each arm: its index again; its training again and its evaluation, because a new
// adapter is another model; or nothing that would help.
void AddUpdateRows(const Workspace& workspace, Results& results) {
  for (const ArmConfig& arm : workspace.config.arms) {
    std::optional<double> seconds;
    if (arm.prompting == Prompting::kRag) {
      seconds = results.Value("rag", kUpdateSlice, "seconds_to_update");
    } else if (!arm.adapter.empty()) {
      const auto training = results.Value(arm.adapter, kTrainingSlice, "seconds"),
                 evaluation = results.Value(arm.name, kUpdateSlice, "evaluation_seconds");
      if (training && evaluation) seconds = *training + *evaluation;
    }
    if (seconds) results.rows.push_back(Measured(arm.name, kUpdateSlice, "seconds_to_update", *seconds));
  }
}

// What the tokens of a query cost on the mean, where the endpoint has prices.
void AddQueryPrice(const ArmConfig& arm, Results& results) {
  const auto prompt = results.Value(arm.name, kTokensSlice, "prompt_tokens"),
             output = results.Value(arm.name, kTokensSlice, "output_tokens");
  if (!arm.endpoint->prompt_price || !prompt || !output) return;
  constexpr double kTokensOfPrice = 1e6;
  const double price = (*prompt * *arm.endpoint->prompt_price + *output * *arm.endpoint->output_price) / kTokensOfPrice;
  results.rows.push_back(Measured(arm.name, kSpeedSlice, "query_price", price));
}

// Seconds of a query whose answer has the length this arm really gives: the first token, then as many more as its
// answers have on the mean, at the pace of the timed ones.
void AddQuerySeconds(const Workspace& workspace, Results& results) {
  for (const ArmConfig& arm : workspace.config.arms) {
    const Row* first = results.Find(arm.name, kSpeedSlice, "ttft_p50");
    const Row* all = results.Find(arm.name, kSpeedSlice, "latency_p50");
    const auto tokens = results.Value(arm.name, kTokensSlice, "output_tokens");
    if (first == nullptr || all == nullptr || !tokens) continue;
    if (arm.endpoint) {  // timed with the answers it gives
      Row row = *all;
      row.metric = "query_seconds";
      results.rows.push_back(std::move(row));
      AddQueryPrice(arm, results);
      continue;
    }
    const double share = std::max(*tokens - 1, 0.0) / (kAnswerTokens - 1);
    const auto seconds = [&](double start, double end) { return start + std::max(end - start, 0.0) * share; };
    Row row = Measured(arm.name, kSpeedSlice, "query_seconds", seconds(first->value, all->value), all->n);
    if (first->low && all->low) row.low = seconds(*first->low, *all->low);  // missing where one round was timed
    if (first->high && all->high) row.high = seconds(*first->high, *all->high);
    results.rows.push_back(std::move(row));
  }
}

}  // namespace

void AddDerived(const Workspace& workspace, const std::vector<bool>& beforehand, Results& results) {
  AddUpdateRows(workspace, results);
  AddQuerySeconds(workspace, results);
  for (Row& row : RowsBeforeUpdate(workspace)) results.rows.push_back(std::move(row));
  Compare(workspace, beforehand, results);
}

}  // namespace qad

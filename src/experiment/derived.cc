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
  const std::string& first = workspace.config.arms.front().name;
  const std::vector<Sample> of_first = SamplesOfArm(workspace.root, first);
  for (const ArmConfig& arm : workspace.config.arms) {
    if (arm.name == first || !arm.replica_of.empty()) continue;
    const std::vector<Sample> samples = SamplesOfArm(workspace.root, arm.name);
    for (const std::string& slice : results.Slices()) {
      const std::string metric = PrimaryMetric(results, slice);
      if (results.Find(arm.name, slice, metric) == nullptr) continue;
      const bool is_there = std::ranges::any_of(results.comparisons, [&](const Comparison& c) {
        const bool is_pair = (c.better == arm.name && c.than == first) || (c.better == first && c.than == arm.name);
        return is_pair && c.slice == slice && c.metric == metric;
      });
      if (!is_there) results.comparisons.push_back(ComparePaired(samples, of_first, slice, metric, options));
    }
  }
  CorrectDeclared(results.comparisons, options, results.manifest.value("withdrawn", Json::array()).size());
}

// Of weights that have the adapter in them: merging, and what is made of the merged ones.
double SecondsToMake(const ArmConfig& arm, const Results& results) {
  if (!arm.merged) return 0;
  const auto of = [&](const std::string& weights) {
    return results.Value(weights, kQuantizeSlice, "seconds").value_or(0);
  };
  const std::string merged = MergedWord(arm.adapter);
  return of(merged) + (arm.weights == merged ? 0 : of(arm.weights));
}

// What an update of the facts costs each arm: its index again; its training again, what is made of that and its
// evaluation, because a new adapter is another model; or nothing that would help.
void AddUpdateRows(const Workspace& workspace, Results& results) {
  for (const ArmConfig& arm : workspace.config.arms) {
    std::optional<double> seconds;
    if (arm.prompting == Prompting::kRag) {
      seconds = results.Value("rag", kUpdateSlice, "seconds_to_update");
    } else if (!arm.adapter.empty()) {
      const auto training = results.Value(arm.adapter, kTrainingSlice, "seconds"),
                 evaluation = results.Value(arm.name, kUpdateSlice, "evaluation_seconds");
      if (training && evaluation) seconds = *training + *evaluation + SecondsToMake(arm, results);
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

// A row of seconds: `tokens` of an answer, the first as `first` says, the others at the pace of the timed ones.
Row SecondsOf(const std::string& metric, const Row& first, const Row& start, const Row& end, double tokens) {
  const double share = std::max(tokens - 1, 0.0) / (kAnswerTokens - 1);
  const auto seconds = [&](double begin, double a, double b) { return begin + std::max(b - a, 0.0) * share; };
  Row row = first;
  row.metric = metric;
  row.value = seconds(first.value, start.value, end.value);
  if (!first.low || !start.low || !end.low) return row;  // one round was timed
  row.low = seconds(*first.low, *start.low, *end.low);
  row.high = seconds(*first.high, *start.high, *end.high);
  return row;
}

// Seconds of a query whose answer has the length this arm really gives: the mean one; and, as p95, one that is longer
// than 95% of them behind the p95 of the first token.
void AddQuerySeconds(const Workspace& workspace, Results& results) {
  for (const ArmConfig& arm : workspace.config.arms) {
    const auto find = [&](const char* metric) { return results.Find(arm.name, kSpeedSlice, metric); };
    const Row *start = find("ttft_p50"), *end = find("latency_p50"), *slow = find("ttft_p95"),
              *last = find("latency_p95");
    std::vector<double> tokens;
    for (const Sample& sample : SamplesOfArm(workspace.root, arm.name))
      tokens.push_back(static_cast<double>(sample.output_tokens));
    const auto mean = results.Value(arm.name, kTokensSlice, "output_tokens");
    if (!start || !end || !slow || !last || !mean || tokens.empty()) continue;
    std::vector<Row> rows;
    if (arm.endpoint) {  // timed with the answers it gives
      rows = {*end, *last};
      rows[0].metric = "query_seconds";
      rows[1].metric = "query_seconds_p95";
      AddQueryPrice(arm, results);
    } else {
      rows = {SecondsOf("query_seconds", *start, *start, *end, *mean),
              SecondsOf("query_seconds_p95", *slow, *start, *end, Quantile(tokens, 0.95))};
    }
    results.rows.insert(results.rows.end(), rows.begin(), rows.end());
  }
}

}  // namespace

void AddDerived(const Workspace& workspace, const std::vector<bool>& beforehand, Results& results) {
  AddUpdateRows(workspace, results);
  AddQuerySeconds(workspace, results);
  for (Row& row : RowsBeforeUpdate(workspace)) results.rows.push_back(std::move(row));
  for (Row& row : RowsOfForgetting(workspace)) results.rows.push_back(std::move(row));
  Compare(workspace, beforehand, results);
}

}  // namespace qad

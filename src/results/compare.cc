// From samples to rows and verdicts: the part of statistics.h that knows samples.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "results/slices.h"
#include "results/statistics.h"

namespace qad {
namespace {

constexpr size_t kFewestClusters = 10;  // below it percentile intervals are known to be too narrow to call a tie

bool IsYesNo(double value) { return value == 0 || value == 1; }

// "facts", then "facts/stable": every prefix of every slice, once, in order of first appearance.
std::vector<std::string> SlicesWithUnions(const std::vector<const Sample*>& samples) {
  std::vector<std::string> slices;
  const auto add = [&](const std::string& slice) {
    if (std::find(slices.begin(), slices.end(), slice) == slices.end()) slices.push_back(slice);
  };
  for (const Sample* sample : samples) {
    for (size_t at = sample->slice.find('/'); at != std::string::npos; at = sample->slice.find('/', at + 1))
      add(sample->slice.substr(0, at));
    add(sample->slice);
  }
  return slices;
}

Row Summarize(const std::vector<double>& values, const std::vector<std::string>& names,
              const BootstrapOptions& options) {
  const std::vector<Cluster> clusters = GroupByCluster(values, names);
  Row row;
  row.n = static_cast<int64_t>(values.size());
  if (std::all_of(values.begin(), values.end(), IsYesNo)) {
    const auto yes = static_cast<double>(std::count(values.begin(), values.end(), 1.0));
    row.value = yes / static_cast<double>(values.size());
    const Interval interval = WilsonInterval(row.value, EffectiveSize(clusters), options.confidence);
    row.low = interval.low;
    row.high = interval.high;
  } else {
    const BootstrapMean mean = BootstrapClusters(clusters, options);
    row.value = mean.mean;
    if (clusters.size() > 1) {  // one cluster resampled is always itself: that is no certainty
      row.low = mean.low;
      row.high = mean.high;
    }
  }
  return row;
}

// All metrics of one arm on one slice.
void SummarizeSlice(const std::vector<const Sample*>& samples, const std::string& slice,
                    const BootstrapOptions& options, std::vector<Row>& rows) {
  std::map<std::string, std::pair<std::vector<double>, std::vector<std::string>>> metrics;
  for (const Sample* sample : samples) {
    if (!SliceMatches(sample->slice, slice)) continue;
    for (const auto& [metric, score] : sample->scores) {
      metrics[metric].first.push_back(score);
      metrics[metric].second.push_back(sample->Cluster());
    }
  }
  for (const auto& [metric, scores] : metrics) {
    Row row = Summarize(scores.first, scores.second, options);
    row.arm = samples.front()->arm;
    row.slice = slice;
    row.metric = metric;
    rows.push_back(std::move(row));
  }
}

// Scores of both arms on the items they share.
struct Pairs {
  std::vector<double> differences;
  std::vector<std::string> clusters;
  bool yes_no = true;
};

Pairs PairUp(const std::vector<Sample>& better, const std::vector<Sample>& than, const std::string& slice,
             const std::string& metric) {
  std::map<std::string_view, double> scores;
  for (const Sample& sample : than)
    if (const auto found = sample.scores.find(metric); found != sample.scores.end())
      scores[sample.item] = found->second;
  Pairs pairs;
  for (const Sample& sample : better) {
    const auto mine = sample.scores.find(metric);
    const auto theirs = scores.find(sample.item);
    if (!SliceMatches(sample.slice, slice) || mine == sample.scores.end() || theirs == scores.end()) continue;
    pairs.differences.push_back(mine->second - theirs->second);
    pairs.clusters.push_back(sample.Cluster());
    pairs.yes_no = pairs.yes_no && IsYesNo(mine->second) && IsYesNo(theirs->second);
  }
  return pairs;
}

void CompareYesNo(const Pairs& pairs, std::vector<Cluster> clusters, const BootstrapOptions& options, Comparison& out) {
  std::vector<int64_t> totals;
  for (const Cluster& cluster : clusters) totals.push_back(std::llround(cluster.sum));
  out.p_value = ClusteredMcNemarExact(totals);
  const auto equal = std::count(pairs.differences.begin(), pairs.differences.end(), 0.0);
  out.discordance = 1 - static_cast<double>(equal) / static_cast<double>(out.n);
  out.detectable = MinimumDetectableDifference(out.clusters, *out.discordance, kPower, 1 - options.confidence);
  clusters.push_back({.sum = 1, .count = 1});
  clusters.push_back({.sum = -1, .count = 1});
  const BootstrapMean adjusted = BootstrapClusters(clusters, options);
  out.low = adjusted.low;
  out.high = adjusted.high;
}

double DetectableInDeviations(double alpha) { return NormalQuantile(1 - alpha / 2) + NormalQuantile(kPower); }

void CompareNumbers(const std::vector<Cluster>& clusters, const BootstrapOptions& options, Comparison& out) {
  const BootstrapMean mean = BootstrapClusters(clusters, options);
  out.p_value = mean.p_value;
  out.low = mean.low;
  out.high = mean.high;
  out.detectable = DetectableInDeviations(1 - options.confidence) * mean.deviation;
}

std::string Verdict(const Comparison& comparison, const CompareOptions& options) {
  if (comparison.n == 0) return "cannot tell";
  // The margin is one of shares.
  const bool enough = comparison.clusters >= static_cast<int64_t>(kFewestClusters) &&
                      KindOfScore(comparison.metric) != ScoreKind::kNats;
  if (enough && comparison.low >= -options.margin && comparison.high <= options.margin) return "equivalent";
  if (comparison.difference == 0 || !(comparison.p_adjusted < 1 - options.confidence)) return "cannot tell";
  return (comparison.difference > 0) != LowerIsBetter(comparison.metric) ? "better" : "worse";
}

}  // namespace

std::vector<Row> SummarizeSamples(const std::vector<Sample>& samples, double confidence, int bootstrap, uint64_t seed) {
  const BootstrapOptions options{.confidence = confidence, .resamples = bootstrap, .seed = seed};
  std::vector<std::string> arms;
  std::map<std::string, std::vector<const Sample*>> by_arm;
  for (const Sample& sample : samples) {
    auto& list = by_arm[sample.arm];
    if (list.empty()) arms.push_back(sample.arm);
    list.push_back(&sample);
  }
  std::vector<Row> rows;
  for (const std::string& arm : arms)
    for (const std::string& slice : SlicesWithUnions(by_arm[arm])) SummarizeSlice(by_arm[arm], slice, options, rows);
  return rows;
}

bool LowerIsBetter(std::string_view metric) {
  static constexpr std::array<std::string_view, 5> kLower = {"stale", "false_refusal", "truncated", "perplexity",
                                                             "kl_divergence"};
  static constexpr std::array<std::string_view, 3> kLowerParts = {"seconds", "bytes", "ttft"};
  const auto contained = [&](std::string_view part) {
    return metric.find(part) != std::string_view::npos && metric.find("per_second") == std::string_view::npos;
  };
  return std::find(kLower.begin(), kLower.end(), metric) != kLower.end() ||
         std::any_of(kLowerParts.begin(), kLowerParts.end(), contained);
}

Comparison ComparePaired(const std::vector<Sample>& better, const std::vector<Sample>& than, const std::string& slice,
                         const std::string& metric, const CompareOptions& options) {
  Comparison out;
  out.better = better.empty() ? "" : better.front().arm;
  out.than = than.empty() ? "" : than.front().arm;
  out.slice = slice;
  out.metric = metric;
  const Pairs pairs = PairUp(better, than, slice, metric);
  const std::vector<Cluster> clusters = GroupByCluster(pairs.differences, pairs.clusters);
  out.n = static_cast<int64_t>(pairs.differences.size());
  out.clusters = static_cast<int64_t>(clusters.size());
  out.detectable = 1;
  if (out.n > 0) {
    for (const double difference : pairs.differences) out.difference += difference / static_cast<double>(out.n);
    const BootstrapOptions bootstrap{
        .confidence = options.confidence, .resamples = options.bootstrap, .seed = options.seed};
    if (pairs.yes_no)
      CompareYesNo(pairs, clusters, bootstrap, out);
    else
      CompareNumbers(clusters, bootstrap, out);
  }
  out.p_adjusted = out.p_value;
  out.verdict = Verdict(out, options);
  return out;
}

Comparison Turned(Comparison comparison) {
  std::swap(comparison.better, comparison.than);
  comparison.difference = -comparison.difference;
  comparison.low = -std::exchange(comparison.high, -comparison.low);
  if (comparison.verdict == "better")
    comparison.verdict = "worse";
  else if (comparison.verdict == "worse")
    comparison.verdict = "better";
  return comparison;
}

void CorrectDeclared(std::vector<Comparison>& comparisons, const CompareOptions& options, size_t withdrawn) {
  std::vector<double> p_values;
  for (const Comparison& comparison : comparisons)
    if (comparison.declared) p_values.push_back(comparison.p_value);
  const std::vector<double> adjusted = HolmAdjusted(p_values, withdrawn);
  const double alpha = 1 - options.confidence, corrected = alpha / static_cast<double>(p_values.size() + withdrawn);
  size_t next = 0;
  for (Comparison& comparison : comparisons) {
    if (!comparison.declared) {
      comparison.p_adjusted = comparison.p_value;
      comparison.verdict.clear();
      continue;
    }
    comparison.p_adjusted = adjusted[next++];
    if (comparison.discordance)
      comparison.detectable =
          MinimumDetectableDifference(comparison.clusters, *comparison.discordance, kPower, corrected);
    else
      comparison.detectable *= DetectableInDeviations(corrected) / DetectableInDeviations(alpha);
    comparison.verdict = Verdict(comparison, options);
  }
}

}  // namespace qad

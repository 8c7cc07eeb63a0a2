#include "decide/robustness.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"
#include "decide/rules.h"
#include "results/statistics.h"

namespace qad {
namespace {

// One arm's scores on one slice, summed by cluster. Empty: no samples.
struct SliceScores {
  std::vector<Cluster> clusters;  // one per cluster of the slice, the same order for every arm
  bool yes_no = true;
};

struct SliceTable {
  size_t clusters = 0;
  std::vector<SliceScores> arms;
};

SliceTable MakeTable(const Evidence& evidence, const RequiredSlice& slice, const std::vector<Sample>& samples) {
  std::map<std::string, size_t> cluster_index, arm_index;
  for (size_t i = 0; i < evidence.arms.size(); ++i) arm_index[evidence.arms[i].arm] = i;
  std::vector<const Sample*> scored;
  for (const Sample& sample : samples)
    if (sample.slice == slice.slice && sample.scores.count(slice.metric) && arm_index.count(sample.arm)) {
      scored.push_back(&sample);
      cluster_index.emplace(sample.Cluster(), cluster_index.size());
    }
  SliceTable table{.clusters = cluster_index.size(), .arms = {}};
  table.arms.resize(evidence.arms.size());
  for (const Sample* sample : scored) {
    SliceScores& arm = table.arms[arm_index[sample->arm]];
    arm.clusters.resize(table.clusters);
    const double score = sample->scores.at(slice.metric);
    Cluster& cluster = arm.clusters[cluster_index[sample->Cluster()]];
    cluster.sum += score;
    ++cluster.count;
    arm.yes_no = arm.yes_no && (score == 0 || score == 1);
  }
  return table;
}

// The estimate a draw of clusters would have given. Yes/no scores get Wilson's interval; for others the interval of the
// row moves along with the mean.
std::optional<Estimate> Redraw(const SliceScores& scores, const std::vector<size_t>& draw,
                               const std::optional<Estimate>& row, double confidence) {
  std::vector<Cluster> drawn;
  Cluster total;
  for (const size_t index : draw) {
    const Cluster& cluster = scores.clusters[index];
    if (cluster.count == 0) continue;
    drawn.push_back(cluster);
    total.sum += cluster.sum;
    total.count += cluster.count;
  }
  if (total.count == 0) return std::nullopt;
  const double mean = total.sum / static_cast<double>(total.count);
  if (scores.yes_no) {
    const Interval interval = WilsonInterval(mean, EffectiveSize(drawn), confidence);
    return Estimate{mean, interval.low, interval.high, total.count};
  }
  if (!row) return std::nullopt;
  return Estimate{mean, mean - (row->value - row->low), mean + (row->high - row->value), total.count};
}

// Rows keep the least, the middle and the largest of the rounds: three rounds are drawn from these.
std::optional<Estimate> RedrawRounds(const std::optional<Estimate>& speed, Random& random) {
  if (!speed || speed->low == speed->high) return speed;
  const double rounds[] = {speed->low, speed->value, speed->high};
  double drawn[3];
  for (double& round : drawn) round = rounds[random.Below(3)];
  std::sort(std::begin(drawn), std::end(drawn));
  return Estimate{drawn[1], drawn[0], drawn[2], speed->n};
}

// One of the seeds of each arm: its own, or that of a replica, with all that this answered.
void DrawSeeds(const Evidence& evidence, Random& random, Evidence& redrawn) {
  for (size_t arm = 0; arm < evidence.arms.size(); ++arm) {
    std::vector<size_t> seeds = {arm};
    for (size_t other = 0; other < evidence.arms.size(); ++other)
      if (evidence.arms[other].replica_of == evidence.arms[arm].arm) seeds.push_back(other);
    if (seeds.size() > 1) redrawn.arms[arm].quality = redrawn.arms[seeds[random.Below(seeds.size())]].quality;
  }
}

// Draws every slice and every speed once.
Evidence Redraw(const Evidence& evidence, const std::vector<SliceTable>& tables, double confidence, Random& random) {
  Evidence redrawn = evidence;
  std::vector<size_t> draw;
  for (size_t slice = 0; slice < tables.size(); ++slice) {
    draw.resize(tables[slice].clusters);
    for (size_t& index : draw) index = random.Below(tables[slice].clusters);
    for (size_t arm = 0; arm < redrawn.arms.size(); ++arm) {
      const SliceScores& scores = tables[slice].arms[arm];
      if (!scores.clusters.empty())
        redrawn.arms[arm].quality[slice] = Redraw(scores, draw, evidence.arms[arm].quality[slice], confidence);
    }
  }
  DrawSeeds(evidence, random, redrawn);
  for (ArmEvidence& arm : redrawn.arms) {
    arm.query_seconds = RedrawRounds(arm.query_seconds, random);
    arm.latency_p95 = RedrawRounds(arm.latency_p95, random);
  }
  return redrawn;
}

// Candidates that none of the samples belongs to.
std::vector<std::string> ArmsWithout(const std::vector<Sample>& samples, const Evidence& evidence) {
  std::set<std::string> sampled;
  for (const Sample& sample : samples) sampled.insert(sample.arm);
  std::vector<std::string> arms;
  for (const ArmEvidence& arm : evidence.arms)
    if (arm.candidate && !sampled.count(arm.arm)) arms.push_back(arm.arm);
  return arms;
}

}  // namespace

Robustness Resample(const Evidence& evidence, const std::vector<Sample>& samples, const DecideOptions& options,
                    int64_t resamples, uint64_t seed) {
  Robustness robustness;
  if (!evidence.required.empty()) {
    if (samples.empty()) return robustness;
    robustness.fixed = ArmsWithout(samples, evidence);
  }
  std::vector<SliceTable> tables;
  for (const RequiredSlice& slice : evidence.required) tables.push_back(MakeTable(evidence, slice, samples));
  robustness.resamples = resamples;
  robustness.chosen.assign(evidence.arms.size(), 0);
  for (int64_t i = 0; i < resamples; ++i) {
    Random random(seed, static_cast<uint64_t>(i));
    if (const auto choice = Choose(Redraw(evidence, tables, options.confidence, random), options))
      robustness.chosen[*choice] += 1;
    else
      robustness.nothing += 1;
  }
  for (double& chosen : robustness.chosen) chosen /= static_cast<double>(resamples);
  robustness.nothing /= static_cast<double>(resamples);
  return robustness;
}

}  // namespace qad

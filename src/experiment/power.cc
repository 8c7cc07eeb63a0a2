#include "experiment/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/units.h"
#include "results/slices.h"
#include "results/statistics.h"

namespace qad {
namespace {

// As if all items of a cluster were right or wrong together: where they are not, fewer will do.
int64_t NeededFor(double floor, int64_t items, int64_t clusters, double confidence) {
  for (int64_t right = 0; right <= items; ++right) {
    const double share = static_cast<double>(right) / static_cast<double>(items);
    if (WilsonInterval(share, static_cast<double>(clusters), confidence).low >= floor) return right;
  }
  return items + 1;
}

double CorrectedAlpha(const Config& config) {
  return (1 - config.eval.confidence) / static_cast<double>(config.comparisons.size());
}

// Pairs that all go one way, of which fewer are never significant: 2 · 2⁻ⁿ ≤ α.
int LeastOneWay(const Config& config) { return static_cast<int>(std::ceil(1 - std::log2(CorrectedAlpha(config)))); }

}  // namespace

std::vector<ComparisonPower> PowerOfComparisons(const Config& config, std::span<const Item> items) {
  std::vector<ComparisonPower> powers;
  for (const ComparisonConfig& declared : config.comparisons) {
    ComparisonPower power{.better = declared.better,
                          .than = declared.than,
                          .slice = declared.slice,
                          .metric = declared.metric,
                          .detectable = {}};
    std::set<std::string> clusters;
    for (const Item& item : items) {
      if (item.plain_text || !SliceMatches(item.slice, declared.slice)) continue;
      ++power.items;
      clusters.insert(item.Cluster());
    }
    power.clusters = static_cast<int64_t>(clusters.size());
    for (const double discordance : kDiscordances)
      power.detectable.push_back(
          MinimumDetectableDifference(power.clusters, discordance, kPower, CorrectedAlpha(config)));
    powers.push_back(std::move(power));
  }
  return powers;
}

std::vector<FloorPower> PowerOfFloors(const Config& config, std::span<const Item> items) {
  std::vector<FloorPower> powers;
  for (const auto& [name, floor] : config.decide.required) {
    std::map<std::string, std::vector<std::string>> leaves;  // clusters of their items
    for (const Item& item : items)
      if (!item.plain_text && SliceMatches(item.slice, name)) leaves[item.slice].push_back(item.Cluster());
    if (leaves.empty()) leaves[name] = {};
    for (const auto& [slice, of_items] : leaves) {
      const auto size = static_cast<int64_t>(of_items.size());
      const auto clusters = static_cast<int64_t>(std::set<std::string>(of_items.begin(), of_items.end()).size());
      powers.push_back({slice, floor, size, size == 0 ? 1 : NeededFor(floor, size, clusters, config.eval.confidence)});
    }
  }
  return powers;
}

std::vector<std::string> PowerStatement(const Config& config, std::span<const Item> items) {
  std::vector<std::string> said;
  for (const ComparisonPower& power : PowerOfComparisons(config, items)) {
    const std::string what = fmt::format("{} against {} on {} ({}), {} items", power.better, power.than, power.slice,
                                         power.metric, power.items);
    if (KindOfScore(power.metric) != ScoreKind::kYesNo) continue;  // its spread is not known before the run
    if (power.detectable.back() >= 1) {
      said.push_back(fmt::format("{}: too few to show any difference; {} that all go one way are the least", what,
                                 LeastOneWay(config)));
      continue;
    }
    std::string points;
    for (size_t i = 0; i < power.detectable.size(); ++i)
      points +=
          fmt::format("{}{} where {} differ", i == 0 ? "" : ", ",
                      power.detectable[i] > kDiscordances[i] ? "none" : FormatPoints(power.detectable[i]).substr(1),
                      FormatShare(kDiscordances[i]));
    const size_t declared = config.comparisons.size();
    said.push_back(fmt::format("{}: differences of so many points are found 4 times of 5{}: {}", what,
                               declared > 1 ? fmt::format(", corrected for {} comparisons", declared) : "", points));
  }
  for (const FloorPower& power : PowerOfFloors(config, items)) {
    const std::string what =
        fmt::format("floor {} on {}, {} items", FormatShare(power.floor), power.slice, power.items);
    said.push_back(
        power.needed > power.items
            ? what + ": not even all of them right would prove it"
            : fmt::format("{}: {} of them ({}) must be right to prove it", what, power.needed,
                          FormatShare(static_cast<double>(power.needed) / static_cast<double>(power.items))));
  }
  return said;
}

}  // namespace qad

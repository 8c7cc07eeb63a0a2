#include "experiment/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/units.h"
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

// Metrics whose scores are 0 or 1, of which alone McNemar's test speaks.
bool IsYesNo(std::string_view metric) {
  return metric != "token_f1" && metric != "rouge_l" && metric != "answer_log_likelihood";
}

std::string ClusterOf(const Item& item) { return item.fact.empty() ? item.id : item.fact; }

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
      clusters.insert(ClusterOf(item));
    }
    power.clusters = static_cast<int64_t>(clusters.size());
    for (const double discordance : kDiscordances)
      power.detectable.push_back(MinimumDetectableDifference(power.clusters, discordance));
    powers.push_back(std::move(power));
  }
  return powers;
}

std::vector<FloorPower> PowerOfFloors(const Config& config, std::span<const Item> items) {
  std::vector<FloorPower> powers;
  for (const auto& [name, floor] : config.decide.required) {
    std::map<std::string, std::vector<std::string>> leaves;  // clusters of their items
    for (const Item& item : items)
      if (!item.plain_text && SliceMatches(item.slice, name)) leaves[item.slice].push_back(ClusterOf(item));
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
    if (!IsYesNo(power.metric)) continue;  // its spread is not known before the run
    if (power.detectable.back() >= 1) {
      said.push_back(what + ": too few to show any difference; six that all go one way are the least");
      continue;
    }
    std::string points;
    for (size_t i = 0; i < power.detectable.size(); ++i)
      points +=
          fmt::format("{}{} where {} differ", i == 0 ? "" : ", ",
                      power.detectable[i] > kDiscordances[i] ? "none" : FormatPoints(power.detectable[i]).substr(1),
                      FormatShare(kDiscordances[i]));
    said.push_back(fmt::format("{}: differences of so many points are found 4 times of 5: {}", what, points));
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

#include "retrieve/refusal.h"

#include <algorithm>

#include "retrieve/prompt.h"

namespace qad {

double AreaUnderCurve(std::span<const double> greater, std::span<const double> less) {
  if (greater.empty() || less.empty()) return 0;
  std::vector<double> sorted(less.begin(), less.end());
  std::ranges::sort(sorted);
  double wins = 0;
  for (const double value : greater) {
    const auto [first, last] = std::ranges::equal_range(sorted, value);
    wins += static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  }
  return wins / (static_cast<double>(greater.size()) * static_cast<double>(less.size()));
}

namespace {

double ShareBelow(const std::vector<double>& values, double threshold) {
  return static_cast<double>(std::ranges::count_if(values, [&](double v) { return v < threshold; })) /
         static_cast<double>(values.size());
}

double BestThreshold(const std::vector<double>& answerable, const std::vector<double>& unanswerable) {
  std::vector<double> scores = answerable;
  scores.insert(scores.end(), unanswerable.begin(), unanswerable.end());
  std::ranges::sort(scores);
  double best = 0, best_gain = 0;  // nothing is below the least score
  for (size_t i = 1; i < scores.size(); ++i) {
    if (scores[i] == scores[i - 1]) continue;
    const double threshold = 0.5 * (scores[i - 1] + scores[i]);
    const double gain = ShareBelow(unanswerable, threshold) - ShareBelow(answerable, threshold);
    if (gain <= best_gain) continue;
    best_gain = gain;
    best = threshold;
  }
  return best;
}

}  // namespace

RefusalRule CalibrateRefusal(const Index& index, std::span<const Item> items) {
  std::vector<double> answerable, unanswerable;
  for (const Item& item : items)
    if (item.IsLookedUp())
      (item.answerable ? answerable : unanswerable).push_back(index.Find(QuestionOf(item), 1).support);
  RefusalRule rule{.answerable = static_cast<int64_t>(answerable.size()),
                   .unanswerable = static_cast<int64_t>(unanswerable.size()),
                   .auc = AreaUnderCurve(answerable, unanswerable),
                   .threshold = {}};
  if (std::min(rule.answerable, rule.unanswerable) >= kLeastOfEach && rule.auc >= kLeastAuc)
    rule.threshold = BestThreshold(answerable, unanswerable);
  return rule;
}

}  // namespace qad

#include "results/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "results/binomial.h"

namespace qad {

double Quantile(std::vector<double> values, double q) {
  QAD_CHECK(!values.empty());
  std::ranges::sort(values);
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

double NormalQuantile(double p) {
  QAD_CHECK(p > 0 && p < 1);
  double low = -40, high = 40;
  for (int step = 0; step < 100; ++step) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::numbers::sqrt2) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

double StudentQuantile(double p, int64_t degrees) {
  QAD_CHECK(degrees >= 5);
  const double z = NormalQuantile(p), z2 = z * z, v = static_cast<double>(degrees);
  const double g1 = z * (z2 + 1) / 4, g2 = z * ((5 * z2 + 16) * z2 + 3) / 96,
               g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
               g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v;
}

MeanInterval MeanOf(std::span<const double> values, double confidence) {
  QAD_CHECK(!values.empty());
  const auto n = static_cast<double>(values.size());
  MeanInterval out{.mean = std::accumulate(values.begin(), values.end(), 0.0) / n};
  if (values.size() < 6) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  const double reach =
      StudentQuantile((1 + confidence) / 2, static_cast<int64_t>(values.size()) - 1) * std::sqrt(squares / (n - 1) / n);
  out.interval = {.low = out.mean - reach, .high = out.mean + reach};
  return out;
}

Interval WilsonInterval(double proportion, double n, double confidence) {
  if (!(n > 0)) return {0, 1};
  const double z = NormalQuantile(0.5 + confidence / 2);
  const double scale = 1 + z * z / n;
  const double center = (proportion + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n));
  // At 0 and 1 the bound is exact, and rounding must not move it inside.
  return {proportion <= 0 ? 0 : std::max(0.0, center - half), proportion >= 1 ? 1 : std::min(1.0, center + half)};
}

double McNemarExact(int64_t b, int64_t c) { return std::min(1.0, 2 * BinomialLowerTail(b + c, std::min(b, c), 0.5)); }

double ClusteredMcNemarExact(std::span<const int64_t> totals) {
  int64_t reach = 0, observed = 0;
  for (const int64_t total : totals) {
    reach += std::abs(total);
    observed += total;
  }
  // mass[s + reach] = probability that the totals with random signs sum to s
  std::vector<double> mass(static_cast<size_t>(2 * reach + 1), 0.0), next(mass.size());
  mass[static_cast<size_t>(reach)] = 1;
  for (const int64_t total : totals) {
    const auto step = static_cast<size_t>(std::abs(total));
    if (step == 0) continue;
    std::fill(next.begin(), next.end(), 0.0);
    for (size_t i = 0; i < mass.size(); ++i) {
      if (mass[i] == 0) continue;
      next[i - step] += mass[i] / 2;
      next[i + step] += mass[i] / 2;
    }
    mass.swap(next);
  }
  double p = 0;
  for (int64_t sum = -reach; sum <= reach; ++sum)
    if (std::abs(sum) >= std::abs(observed)) p += mass[static_cast<size_t>(sum + reach)];
  return std::min(1.0, p);
}

std::vector<double> HolmAdjusted(std::span<const double> p_values, size_t unseen) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double least = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const size_t left = order.size() + unseen - rank;
    least = std::max(least, std::min(1.0, p_values[order[rank]] * static_cast<double>(left)));
    adjusted[order[rank]] = least;
  }
  return adjusted;
}

Interval DifferenceOfIndependent(double a, const Interval& of_a, double b, const Interval& of_b) {
  return {.low = a - b - std::hypot(a - of_a.low, of_b.high - b),
          .high = a - b + std::hypot(of_a.high - a, b - of_b.low)};
}

// The number of discordant pairs is binomial; given it, the wins are. `critical` is the largest count of the rarer way
// that is still significant; it grows by at most one as the discordant pairs grow by one.
double McNemarPower(int64_t n, double discordance, double difference, double alpha) {
  const double share = (1 + difference / discordance) / 2;  // of discordant pairs that are wins
  double power = 0;
  int64_t critical = -1;
  for (int64_t pairs = 1; pairs <= n; ++pairs) {
    if (2 * BinomialLowerTail(pairs, critical + 1, 0.5) <= alpha) ++critical;
    const double mass = BinomialMass(n, pairs, discordance);
    if (critical < 0 || mass < 1e-15) continue;
    power += mass * (BinomialLowerTail(pairs, critical, share) + BinomialUpperTail(pairs, pairs - critical, share));
  }
  return power;
}

double MinimumDetectableDifference(int64_t n, double discordance, double power, double alpha) {
  const auto enough = [&](double difference) {
    return McNemarPower(n, std::max(discordance, difference), difference, alpha) >= power;
  };
  if (n < 1 || !enough(1)) return 1;
  double low = 0, high = 1;
  while (high - low > 1e-4) (enough((low + high) / 2) ? high : low) = (low + high) / 2;
  return high;
}

std::optional<int64_t> PairsToDetect(double difference, double discordance, double power, double alpha) {
  constexpr int64_t kMost = 10000;
  const auto enough = [&](int64_t n) {
    return McNemarPower(n, std::max(discordance, difference), difference, alpha) >= power;
  };
  int64_t high = 8;
  while (high < kMost && !enough(high)) high = std::min(2 * high, kMost);
  if (!enough(high)) return std::nullopt;
  int64_t low = high / 2;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

std::vector<Cluster> GroupByCluster(std::span<const double> values, std::span<const std::string> names) {
  QAD_CHECK(values.size() == names.size());
  std::vector<Cluster> clusters;
  std::map<std::string_view, size_t> place;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto [at, added] = place.emplace(names[i], clusters.size());
    if (added) clusters.emplace_back();
    clusters[at->second].sum += values[i];
    ++clusters[at->second].count;
  }
  return clusters;
}

double EffectiveSize(std::span<const Cluster> clusters) {
  double n = 0, sum = 0, squares = 0;
  for (const Cluster& cluster : clusters) {
    n += static_cast<double>(cluster.count);
    sum += cluster.sum;
  }
  const auto count = static_cast<double>(clusters.size());
  if (count == n) return n;
  const double proportion = sum / n;
  if (proportion <= 0 || proportion >= 1) return count;
  for (const Cluster& cluster : clusters) {
    const double residual = cluster.sum - proportion * static_cast<double>(cluster.count);
    squares += residual * residual;
  }
  if (squares == 0) return count == 1 ? 1 : n;  // one cluster says nothing about others; or all have the same share
  const double variance = squares * count / (count - 1) / (n * n);
  return std::clamp(proportion * (1 - proportion) / variance, 1.0, n);
}

namespace {

std::vector<double> ResampledMeans(std::span<const Cluster> clusters, const BootstrapOptions& options) {
  std::vector<double> means;
  for (int resample = 0; resample < options.resamples; ++resample) {
    Random random(options.seed, static_cast<uint64_t>(resample));
    double sum = 0;
    int64_t count = 0;
    for (size_t draw = 0; draw < clusters.size(); ++draw) {
      const Cluster& cluster = clusters[random.Below(clusters.size())];
      sum += cluster.sum;
      count += cluster.count;
    }
    means.push_back(sum / static_cast<double>(count));
  }
  std::sort(means.begin(), means.end());
  return means;
}

}  // namespace

BootstrapMean BootstrapClusters(std::span<const Cluster> clusters, const BootstrapOptions& options) {
  QAD_CHECK(options.resamples > 0);
  if (clusters.empty()) return {};
  double sum = 0, count = 0;
  for (const Cluster& cluster : clusters) {
    sum += cluster.sum;
    count += static_cast<double>(cluster.count);
  }
  const std::vector<double> means = ResampledMeans(clusters, options);
  const auto resamples = static_cast<double>(means.size());
  const auto not_above = static_cast<double>(std::upper_bound(means.begin(), means.end(), 0.0) - means.begin());
  const auto not_below = static_cast<double>(means.end() - std::lower_bound(means.begin(), means.end(), 0.0));
  const double center = std::accumulate(means.begin(), means.end(), 0.0) / resamples;
  double squares = 0;
  for (const double mean : means) squares += (mean - center) * (mean - center);
  return {.mean = sum / count,
          .low = Quantile(means, (1 - options.confidence) / 2),
          .high = Quantile(means, (1 + options.confidence) / 2),
          .deviation = std::sqrt(squares / resamples),
          .p_value = std::min(1.0, 2 * (std::min(not_above, not_below) + 1) / (resamples + 1))};
}

}  // namespace qad

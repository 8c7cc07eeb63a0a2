// What may be concluded from so many items: intervals, paired tests, and what could not have been seen. Pure functions;
// every random number comes from the seed. Equations and sources: docs/statistics.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "results/results.h"

namespace qad {

struct Interval {
  double low = 0, high = 0;
};

// The q-quantile (0 … 1) of values, linear between neighbours (numpy's default). Aborts on an empty list.
double Quantile(std::vector<double> values, double q);

// z with Φ(z) = p, 0 < p < 1.
double NormalQuantile(double p);

// t with P(T ≤ t) = p for Student's distribution, 0 < p < 1, by the expansion in 1/degrees (Abramowitz and Stegun 1964,
// 26.7.5): for 5 degrees of freedom or more, to 0.2% where 0.005 ≤ p ≤ 0.995. Aborts on fewer.
double StudentQuantile(double p, int64_t degrees);

// Mean of a few independent measurements with Student's interval; none for fewer than six.
struct MeanInterval {
  double mean = 0;
  std::optional<Interval> interval = {};
};
MeanInterval MeanOf(std::span<const double> values, double confidence);

// Score interval of a proportion (Wilson 1927). `n` need not be whole: see EffectiveSize. n = 0: [0, 1].
Interval WilsonInterval(double proportion, double n, double confidence);

// Exact McNemar test, two-sided: `b` pairs went one way, `c` the other; b ~ Binomial(b + c, 1/2) under the null.
double McNemarExact(int64_t b, int64_t c);

// The same test where items come in clusters: the sign of each cluster's total (wins − losses) is flipped, all 2^k
// ways counted. Where no cluster has more than one item this is McNemarExact.
double ClusteredMcNemarExact(std::span<const int64_t> totals);

// P-values after Holm's step-down correction (1979), in the order given: monotone, at most 1. `unseen` more belong to
// the family, whose p-values are not known: each is taken for larger than all of these, which corrects most.
std::vector<double> HolmAdjusted(std::span<const double> p_values, size_t unseen = 0);

// Interval of a − b for independent estimates with intervals of the same confidence: theirs, recovered as variances and
// added (Zou and Donner, Stat. Med. 27 (2008) 1693; for Wilson's intervals it is Newcombe's method 10).
Interval DifferenceOfIndependent(double a, const Interval& of_a, double b, const Interval& of_b);

inline constexpr double kPower = 0.8;  // with which a difference is said to be found: in four of five runs

// Power of the exact McNemar test on n pairs, of which a share `discordance` > 0 differs; `difference`, from 0 to
// `discordance`, is by how much more of all pairs go one way than the other.
double McNemarPower(int64_t n, double discordance, double difference, double alpha);

// The least difference that the exact McNemar test finds with this power, if `discordance` of the pairs differ (or all
// of the difference one way, where that is more). 1 where even n one-way flips would not be significant (n < 6).
double MinimumDetectableDifference(int64_t n, double discordance, double power = kPower, double alpha = 0.05);

// The least number of pairs with which that test finds `difference` > 0, of `discordance` (or all of the difference one
// way, where that is more); nothing beyond 10,000.
std::optional<int64_t> PairsToDetect(double difference, double discordance, double power = kPower, double alpha = 0.05);

// Values that belong together (items about one fact), as their sum.
struct Cluster {
  double sum = 0;
  int64_t count = 0;
};
// Clusters in order of first appearance.
std::vector<Cluster> GroupByCluster(std::span<const double> values, std::span<const std::string> names);

// How many independent items a proportion over clusters is worth: n ÷ design effect (Korn and Graubard 1998), from 1 to
// n; n itself where no cluster has two items, the number of clusters where the proportion is 0 or 1.
double EffectiveSize(std::span<const Cluster> clusters);

struct BootstrapOptions {
  double confidence = 0.95;
  int resamples = 2000;
  uint64_t seed = 0;  // equal seeds resample the same clusters, whatever the values
};
struct BootstrapMean {
  double mean = 0, low = 0, high = 0;  // percentile interval
  double deviation = 0;                // standard deviation over resamples
  double p_value = 1;                  // two-sided, of the mean being 0: twice the smaller tail, (k + 1)/(R + 1)
};
// Mean of all values; whole clusters are resampled. No clusters: zeros and p = 1.
BootstrapMean BootstrapClusters(std::span<const Cluster> clusters, const BootstrapOptions& options);

// Rows (arm, slice, metric) from samples, in order of first appearance. A slice that has sub-slices ("facts/stable",
// "facts/changed") also gets rows as their union ("facts"), before the first of them. Wilson intervals where every
// value is 0 or 1, bootstrap intervals elsewhere.
std::vector<Row> SummarizeSamples(const std::vector<Sample>& samples, double confidence, int bootstrap, uint64_t seed);

// Whether a smaller value of this metric is the better one ("stale", "false_refusal", "kl_divergence", seconds …).
bool LowerIsBetter(std::string_view metric);

struct CompareOptions {
  double confidence = 0.95;
  int bootstrap = 2000;
  uint64_t seed = 0;
  double margin = 0.05;  // differences within it do not matter
};

// Difference `better` − `than` on the items of `slice` that both have a score for, paired by item. Arm names are taken
// from the samples. The verdict is about `better`, by its own p-value; where nothing is shared, n = 0 and "cannot
// tell".
//   yes/no metrics: exact McNemar by cluster; the interval is a bootstrap in which one won and one lost item are added
//     (the adjustment of Bonett and Price 2012), so that agreement on four items does not pass for certainty;
//   other metrics: bootstrap.
// Verdicts, in this order: "equivalent" where the interval lies within ±margin (and at least 10 clusters stand behind
// it), "better" or "worse" where p < 1 − confidence, else "cannot tell".
Comparison ComparePaired(const std::vector<Sample>& better, const std::vector<Sample>& than, const std::string& slice,
                         const std::string& metric, const CompareOptions& options);

// The same comparison, seen from the other arm.
Comparison Turned(Comparison comparison);

// Holm over the declared comparisons and `withdrawn` more, which were declared and answered but are not among them, and
// verdicts by the adjusted p-values. What is detectable is that at the level of Holm's first step, the strictest of
// them. Exploratory ones lose their verdict.
void CorrectDeclared(std::vector<Comparison>& comparisons, const CompareOptions& options, size_t withdrawn = 0);

}  // namespace qad

// Against scipy and statsmodels (testdata/make_statistics_goldens.py); tolerances are rounding unless said otherwise.
#include "results/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "base/random.h"
#include "results/binomial.h"

namespace qad {
namespace {

const Json& Goldens() {
  static const Json goldens = ReadJsonFile(QAD_TESTDATA "/statistics/goldens.json");
  return goldens;
}

TEST(Binomial, TailsAsScipy) {
  for (const Json& row : Goldens()["binomial"]) {
    const int64_t n = row["n"], k = row["k"];
    const double p = row["p"], upper = row["upper"], lower = row["lower"];
    // lgamma of n = 5000 is about 4e4: its last bit is 1e-11 in the logarithm, hence in the probability.
    EXPECT_NEAR(BinomialUpperTail(n, k, p), upper, 1e-10 * upper + 1e-15) << row;
    EXPECT_NEAR(BinomialLowerTail(n, k, p), lower, 1e-10 * lower + 1e-15) << row;
  }
  EXPECT_EQ(BinomialUpperTail(5, 0, 0.5), 1);
  EXPECT_EQ(BinomialUpperTail(5, 6, 0.5), 0);
  EXPECT_EQ(BinomialLowerTail(5, 4, 1.0), 0);
}

TEST(NormalQuantile, AsScipy) {
  for (const Json& row : Goldens()["normal"]) EXPECT_NEAR(NormalQuantile(row[0]), row[1].get<double>(), 1e-9) << row;
}

TEST(Wilson, AsStatsmodels) {
  for (const Json& row : Goldens()["wilson"]) {
    const double n = row["n"], share = row["k"].get<double>() / n;
    const Interval interval = WilsonInterval(share, n, row["confidence"]);
    EXPECT_NEAR(interval.low, row["low"].get<double>(), 1e-12) << row;
    EXPECT_NEAR(interval.high, row["high"].get<double>(), 1e-12) << row;
  }
}

TEST(Wilson, NothingMeasuredSaysNothing) {
  EXPECT_EQ(WilsonInterval(0, 0, 0.95).low, 0);
  EXPECT_EQ(WilsonInterval(0, 0, 0.95).high, 1);
}

TEST(McNemar, AsStatsmodels) {
  for (const Json& row : Goldens()["mcnemar"])
    EXPECT_NEAR(McNemarExact(row["b"], row["c"]), row["p"].get<double>(), 1e-10) << row;
}

TEST(McNemar, FiveOneWayFlipsAreNeverSignificantSixAre) {
  EXPECT_GT(McNemarExact(5, 0), 0.05);
  EXPECT_LT(McNemarExact(6, 0), 0.05);
}

TEST(ClusteredMcNemar, AsEnumeration) {
  for (const Json& row : Goldens()["clustered"])
    EXPECT_NEAR(ClusteredMcNemarExact(row["totals"].get<std::vector<int64_t>>()), row["p"].get<double>(), 1e-12) << row;
}

TEST(ClusteredMcNemar, IsMcNemarWhereItemsStandAlone) {
  for (const auto& [b, c] : {std::pair{0, 0}, {6, 0}, {10, 2}, {7, 7}, {30, 18}}) {
    std::vector<int64_t> totals(50, 0);
    totals.insert(totals.end(), static_cast<size_t>(b), 1);
    totals.insert(totals.end(), static_cast<size_t>(c), -1);
    EXPECT_NEAR(ClusteredMcNemarExact(totals), McNemarExact(b, c), 1e-12) << b << " " << c;
  }
}

// Tables of Student's t: 5, 7, 30 and 1,000 degrees of freedom.
TEST(StudentQuantile, AsInTables) {
  EXPECT_NEAR(StudentQuantile(0.975, 5), 2.5706, 0.003);
  EXPECT_NEAR(StudentQuantile(0.975, 7), 2.3646, 0.001);
  EXPECT_NEAR(StudentQuantile(0.995, 7), 3.4995, 0.007);
  EXPECT_NEAR(StudentQuantile(0.95, 30), 1.6973, 1e-4);
  EXPECT_NEAR(StudentQuantile(0.025, 7), -2.3646, 0.001);
  EXPECT_NEAR(StudentQuantile(0.975, 1000), 1.9623, 1e-4);
}

TEST(MeanOf, HasStudentsIntervalFromSixOn) {
  const MeanInterval mean = MeanOf(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8}, 0.95);
  EXPECT_DOUBLE_EQ(mean.mean, 4.5);
  EXPECT_NEAR(mean.interval->low, 4.5 - 2.3646 * 2.44949 / std::sqrt(8.0), 1e-3);
  EXPECT_NEAR(mean.interval->high, 4.5 + 2.3646 * 2.44949 / std::sqrt(8.0), 1e-3);
  EXPECT_FALSE(MeanOf(std::vector<double>{1, 2, 3}, 0.95).interval);
}

TEST(Quantile, IsLinearBetweenNeighbours) {
  EXPECT_EQ(Quantile({7}, 0.9), 7);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Quantile({10, 20}, 0.95), 19.5);
}

TEST(Holm, AsStatsmodels) {
  for (const Json& row : Goldens()["holm"]) {
    const auto p_values = row["p"].get<std::vector<double>>();
    const auto want = row["adjusted"].get<std::vector<double>>();
    const std::vector<double> got = HolmAdjusted(p_values);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << row;
  }
  EXPECT_TRUE(HolmAdjusted({}).empty());
}

// Whatever the p-values of those that are not seen are, theirs among them never makes the others' larger.
TEST(Holm, UnseenOnesCorrectAtLeastAsMuchAsAnyOnesWould) {
  const std::vector<double> seen = {0.004, 0.03, 0.02};
  const std::vector<double> worst = HolmAdjusted(seen, 2);
  EXPECT_DOUBLE_EQ(worst[0], 5 * 0.004);
  for (const double a : {0.0, 0.01, 0.025, 1.0})
    for (const double b : {0.001, 0.02, 0.9}) {
      const std::vector<double> whole = HolmAdjusted(std::vector<double>{0.004, 0.03, 0.02, a, b});
      for (size_t i = 0; i < seen.size(); ++i) EXPECT_GE(worst[i], whole[i] - 1e-15) << a << " " << b << " " << i;
    }
}

// Newcombe, Stat. Med. 17 (1998) 873, table II, method 10: 56/70 − 48/80.
TEST(DifferenceOfIndependent, AsNewcombesTenthMethod) {
  const auto share = [](int64_t k, int64_t n) { return static_cast<double>(k) / static_cast<double>(n); };
  const Interval interval = DifferenceOfIndependent(share(56, 70), WilsonInterval(share(56, 70), 70, 0.95),
                                                    share(48, 80), WilsonInterval(share(48, 80), 80, 0.95));
  EXPECT_NEAR(interval.low, 0.0524, 5e-5);
  EXPECT_NEAR(interval.high, 0.3339, 5e-5);
}

TEST(Power, AsSummedOverAllTables) {
  for (const Json& row : Goldens()["power"])
    EXPECT_NEAR(McNemarPower(row["n"], row["discordance"], row["difference"], 0.05), row["power"].get<double>(), 1e-9)
        << row;
}

// The experiment's table, which is given in steps of half a point.
TEST(MinimumDetectableDifference, AsInTheExperimentsTable) {
  struct Known {
    double discordance;
    int64_t n;
    double points;
  };
  for (const Known& known :
       {Known{0.1, 120, 8.5}, {0.2, 60, 16.5}, {0.2, 120, 12}, {0.3, 30, 27.5}, {0.3, 60, 20.5}, {0.3, 120, 14.5}})
    EXPECT_NEAR(100 * MinimumDetectableDifference(known.n, known.discordance), known.points, 0.5)
        << known.n << " " << known.discordance;
}

TEST(MinimumDetectableDifference, IsOneWhereNothingCanBeShown) {
  EXPECT_EQ(MinimumDetectableDifference(0, 0.2), 1);
  EXPECT_EQ(MinimumDetectableDifference(5, 0.2), 1);
  EXPECT_LT(MinimumDetectableDifference(6, 0.2), 1);
}

TEST(MinimumDetectableDifference, HasItsPower) {
  for (const int64_t n : {int64_t{10}, int64_t{60}, int64_t{1000}})
    for (const double discordance : {0.0, 0.1, 0.4}) {
      const double least = MinimumDetectableDifference(n, discordance);
      EXPECT_GE(McNemarPower(n, std::max(least, discordance), least, 0.05), 0.8);
      EXPECT_LT(McNemarPower(n, std::max(least - 0.01, discordance), least - 0.01, 0.05), 0.8)
          << n << " " << discordance;
    }
}

TEST(PairsToDetect, IsTheLeastNumberWithItsPower) {
  for (const auto& [difference, discordance] : {std::pair(0.1, 0.2), {0.15, 0.4}, {0.5, 0.3}}) {
    const int64_t pairs = *PairsToDetect(difference, discordance);
    const auto power = [&](int64_t n) { return McNemarPower(n, std::max(discordance, difference), difference, 0.05); };
    EXPECT_GE(power(pairs), 0.8) << difference;
    EXPECT_LT(power(pairs - 1), 0.8) << difference;
    EXPECT_LE(MinimumDetectableDifference(pairs, discordance), difference + 1e-3);
  }
  EXPECT_FALSE(PairsToDetect(0.001, 0.4));
}

TEST(Bootstrap, AsNumpyWithinMonteCarloError) {
  for (const Json& row : Goldens()["bootstrap"]) {
    const auto values = row["values"].get<std::vector<double>>();
    const auto names = row["clusters"].get<std::vector<std::string>>();
    const BootstrapMean got = BootstrapClusters(GroupByCluster(values, names), {.resamples = 20000, .seed = 3});
    const double deviation = row["deviation"];
    EXPECT_NEAR(got.mean, row["mean"].get<double>(), 1e-12);
    // Standard error of a 2.5% quantile from R draws: √(q(1−q)/R)/φ(z) = 2.67 σ/√R, i.e. 0.019 σ; four of them.
    EXPECT_NEAR(got.low, row["low"].get<double>(), 0.08 * deviation);
    EXPECT_NEAR(got.high, row["high"].get<double>(), 0.08 * deviation);
    EXPECT_NEAR(got.deviation, deviation, 0.02 * deviation);
    const double p = row["p"];
    EXPECT_NEAR(got.p_value, p, 4 * 2 * std::sqrt(p / 2 / 20000) + 2e-4);
  }
}

TEST(Bootstrap, IsSeeded) {
  std::vector<Cluster> clusters;
  for (uint64_t i = 0; i < 40; ++i) clusters.push_back({RandomUniform(0, 0, i), 1});
  EXPECT_EQ(BootstrapClusters(clusters, {.seed = 1}).low, BootstrapClusters(clusters, {.seed = 1}).low);
  EXPECT_NE(BootstrapClusters(clusters, {.seed = 1}).low, BootstrapClusters(clusters, {.seed = 2}).low);
}

TEST(Bootstrap, NoDifferenceIsNoEvidence) {
  const std::vector<Cluster> clusters(20, Cluster{0, 1});
  EXPECT_EQ(BootstrapClusters(clusters, {}).p_value, 1);
  EXPECT_EQ(BootstrapClusters({}, {}).p_value, 1);
}

TEST(EffectiveSize, ShrinksWithLikenessWithinClusters) {
  const std::vector<Cluster> alone(30, Cluster{1, 1});
  EXPECT_EQ(EffectiveSize(alone), 30);
  // Three items each, all alike: only the clusters count (29/30 from the unbiased variance).
  std::vector<Cluster> alike;
  for (int i = 0; i < 30; ++i) alike.push_back({i % 2 == 0 ? 3.0 : 0.0, 3});
  EXPECT_NEAR(EffectiveSize(alike), 29, 1e-9);
  EXPECT_EQ(EffectiveSize(std::vector<Cluster>(10, Cluster{3, 3})), 10);
  EXPECT_EQ(EffectiveSize(std::vector<Cluster>{{1, 4}}), 1);
}

}  // namespace
}  // namespace qad

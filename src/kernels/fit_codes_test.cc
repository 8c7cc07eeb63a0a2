#include "kernels/fit_codes.h"

#include <algorithm>
#include <cmath>

#include "base/testing.h"
#include "kernels/targets_testing.h"
#include "kernels/tiles.h"

namespace qad {
namespace {

class FitCodes : public PerTarget {};
QAD_PER_TARGET(FitCodes);

std::vector<float> Weights(size_t n, uint64_t stream) {
  std::vector<float> w = Normals(n, stream);
  for (float& value : w) value = value * value + 0.1f;
  return w;
}

double ErrorOf(const std::vector<float>& x, const std::vector<float>& w, CodeRange range, double scale, double offset) {
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = static_cast<double>(x[i]) - offset;
    const double q =
        std::nearbyint(std::clamp(v / scale, static_cast<double>(range.low), static_cast<double>(range.high)));
    error += static_cast<double>(w[i]) * (v - scale * q) * (v - scale * q);
  }
  return error;
}

// The best of a fine grid of scales, each solved for.
double BestOnGrid(const std::vector<float>& x, const std::vector<float>& w, CodeRange range, bool negative) {
  double largest = 0, best = HUGE_VAL;
  for (const float v : x) largest = std::max(largest, static_cast<double>(std::fabs(v)));
  for (int i = 100; i <= 2000; ++i)
    for (const double sign : {1.0, -1.0}) {
      if (sign < 0 && !negative) continue;
      const double scale = sign * largest * i / 2000;
      double qq = 0, qx = 0;
      for (size_t k = 0; k < x.size(); ++k) {
        const double v = static_cast<double>(x[k]), weight = static_cast<double>(w[k]);
        const double q =
            std::nearbyint(std::clamp(v / scale, static_cast<double>(range.low), static_cast<double>(range.high)));
        qq += weight * q * q;
        qx += weight * q * v;
      }
      if (qq > 0) best = std::min(best, ErrorOf(x, w, range, qx / qq, 0));
    }
  return best;
}

// The error returned is that of the scale returned or a little more, and on average hardly above the least there is.
TEST_P(FitCodes, ScaleIsNearlyTheBestThereIs) {
  for (const CodeRange range :
       {CodeRange{-4, 3}, CodeRange{-8, 7}, CodeRange{-16, 15}, CodeRange{-127, 127}, CodeRange{-128, 127}})
    for (const size_t n : {16, 32, 64, 1536})
      for (const bool negative : {false, true}) {
        double ours = 0, best = 0;
        for (uint64_t seed = 0; seed < (n > 64 ? 2 : 12); ++seed) {
          const auto x = Normals(n, 100 * seed + n), w = Weights(n, 100 * seed + n + 1);
          const Fit fit = FitScale(x.data(), w.data(), n, range, negative);
          ASSERT_TRUE(negative ? fit.scale != 0 : fit.scale > 0);
          EXPECT_EQ(fit.offset, 0);
          const double error = ErrorOf(x, w, range, static_cast<double>(fit.scale), 0);
          // The codes of the scale may be better than those it was solved from.
          EXPECT_LE(error, static_cast<double>(fit.error) * 1.0001 + 1e-9);
          ours += error;
          best += BestOnGrid(x, w, range, negative);
        }
        EXPECT_LE(ours, 1.15 * best) << range.low << " " << n << " " << negative;
      }
}

TEST_P(FitCodes, AffineIsBetterThanLeastToMost) {
  for (const int top : {3, 7, 15, 31, 255})
    for (const size_t n : {16, 32, 64, 128})
      for (const bool any : {false, true}) {
        auto x = Normals(n, n);
        for (float& value : x) value += 0.7f;
        const auto w = Weights(n, n + 1);
        const Fit fit = FitAffine(x.data(), w.data(), n, top, any);
        ASSERT_GT(fit.scale, 0);
        EXPECT_TRUE(any || fit.offset <= 0) << fit.offset;
        auto [low, high] = std::ranges::minmax(x);
        if (!any) low = std::min(low, 0.0f);
        const double error = ErrorOf(x, w, {0, top}, static_cast<double>(fit.scale), static_cast<double>(fit.offset));
        EXPECT_LE(error, static_cast<double>(fit.error) * 1.0001 + 1e-9);
        const double naive = ErrorOf(x, w, {0, top}, static_cast<double>(high - low) / top, static_cast<double>(low));
        EXPECT_LE(error, top < 100 ? 0.97 * naive : naive) << top << " " << n << " " << any;
      }
}

// A weight that outweighs all others together cancels nothing: its value is met, and the others are fitted as well as
// by codes from least to most, moved until it is.
TEST_P(FitCodes, OneWeightMayBeWorthAllOthers) {
  for (const float heavy : {1e3f, 1e5f, 1e6f})
    for (const int top : {3, 15, 31})
      for (const bool any : {false, true}) {
        double ours = 0, moved = 0;
        for (uint64_t seed = 0; seed < 20; ++seed) {
          const size_t n = 32;
          auto x = Normals(n, 40 + seed), w = Weights(n, 70 + seed);
          x[seed] *= 0.2f;
          w[seed] = heavy;
          const Fit fit = FitAffine(x.data(), w.data(), n, top, any);
          const double error = ErrorOf(x, w, {0, top}, static_cast<double>(fit.scale), static_cast<double>(fit.offset));
          EXPECT_NEAR(error, static_cast<double>(fit.error), 0.02 * error) << heavy << " " << top << " " << any;
          ours += error;
          const auto [low, high] = std::ranges::minmax(x);
          const double scale = static_cast<double>(high - low) / top, value = static_cast<double>(x[seed]);
          const double code = std::nearbyint((value - static_cast<double>(low)) / scale);
          moved += ErrorOf(x, w, {0, top}, scale, value - scale * code);
        }
        EXPECT_LE(ours, 0.9 * moved) << heavy << " " << top << " " << any;
      }
}

// What lies on a grid is found on it.
TEST_P(FitCodes, GridsAreFound) {
  const size_t n = 32;
  const auto w = Weights(n, 5);
  std::vector<float> x(n), affine(n), table(n);
  for (size_t i = 0; i < n; ++i) {
    const auto code = static_cast<int>(i % 16);
    x[i] = 0.25f * static_cast<float>(code - 8);
    affine[i] = 0.5f * static_cast<float>(code) - 3;
    table[i] = -0.03125f * kIq4Table.values[code];
  }
  const Fit scale = FitScale(x.data(), w.data(), n, {-8, 7}, true);
  EXPECT_NEAR(scale.scale, 0.25, 1e-6);
  EXPECT_NEAR(scale.error, 0, 1e-9);
  const Fit both = FitAffine(affine.data(), w.data(), n, 15, true);
  EXPECT_NEAR(both.scale, 0.5, 1e-6);
  EXPECT_NEAR(both.offset, -3, 1e-5);
  const Fit fit = FitTable(table.data(), w.data(), n, kIq4Table.values);
  EXPECT_NEAR(fit.scale, -0.03125, 1e-6);
  std::vector<int8_t> codes(n);
  EXPECT_NEAR(RoundToTable(table.data(), w.data(), n, kIq4Table.values, fit.scale, codes.data()), 0, 1e-6);
  for (size_t i = 0; i < n; ++i) EXPECT_EQ(codes[i], static_cast<int>(i % 16));
}

TEST_P(FitCodes, RoundingIsToTheNearest) {
  const size_t n = 64;
  const auto x = Normals(n, 3), w = Weights(n, 4);
  std::vector<int8_t> codes(n);
  const float error = RoundToCodes(x.data(), w.data(), n, {0, 15}, 0.3f, -2.0f, codes.data());
  EXPECT_NEAR(error, ErrorOf(x, w, {0, 15}, static_cast<double>(0.3f), -2.0), 1e-4);
  for (size_t i = 0; i < n; ++i) {
    const float ideal = std::clamp((x[i] + 2.0f) / 0.3f, 0.0f, 15.0f);
    EXPECT_LE(std::fabs(static_cast<float>(codes[i]) - ideal), 0.5001f) << i;
  }
  RoundToTable(x.data(), w.data(), n, kNf4Table.values, 2.0f, codes.data());
  for (size_t i = 0; i < n; ++i)
    for (const float other : kNf4Table.values)
      EXPECT_LE(std::fabs(x[i] - 2 * kNf4Table.values[codes[i]]), std::fabs(x[i] - 2 * other) + 1e-6f);
}

// Zeros, values beyond any inverse, one value throughout, weights of zero: no NaN, no code outside the range.
TEST_P(FitCodes, SurviveOddRuns) {
  const size_t n = 32;
  const std::vector<float> ones(n, 1.0f), nothing(n, 0.0f);
  for (const float value : {0.0f, -0.0f, 1e-42f, 1e-31f, 0.75f, -0.75f, 1e30f})
    for (const auto* w : {&ones, &nothing}) {
      const std::vector<float> x(n, value);
      for (const Fit& fit :
           {FitScale(x.data(), w->data(), n, {0, 15}, false), FitScale(x.data(), w->data(), n, {-15, 0}, false),
            FitScale(x.data(), w->data(), n, {-8, 7}, true), FitScale(x.data(), w->data(), n, {-8, 7}, false),
            FitAffine(x.data(), w->data(), n, 15, true), FitAffine(x.data(), w->data(), n, 15, false),
            FitTable(x.data(), w->data(), n, kIq4Table.values)}) {
        EXPECT_TRUE(std::isfinite(fit.scale) && std::isfinite(fit.offset)) << value;
        std::vector<int8_t> codes(n);
        (void)RoundToCodes(x.data(), w->data(), n, {-8, 7}, fit.scale, fit.offset, codes.data());
        for (const int8_t code : codes) EXPECT_TRUE(code >= -8 && code <= 7);
      }
    }
}

}  // namespace
}  // namespace qad

// The one comparer of numeric tests. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace qad {

// |got − want| ≤ absolute + relative·|want| for every element; written so that NaN fails. Reports the worst element.
inline ::testing::AssertionResult AllClose(std::span<const float> got, std::span<const float> want, double absolute,
                                           double relative = 0) {
  if (got.size() != want.size())
    return ::testing::AssertionFailure() << "lengths differ: " << got.size() << " and " << want.size();
  if (want.empty()) return ::testing::AssertionFailure() << "nothing to compare";
  double worst = -1;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double w = want[i];
    const double excess = std::fabs(static_cast<double>(got[i]) - w) - (absolute + relative * std::fabs(w));
    if (!(excess <= 0) && !(excess <= worst)) {
      worst = excess;
      at = i;
      if (std::isnan(excess)) break;
    }
  }
  if (worst < 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "element " << at << " of " << got.size() << ": got " << got[at] << ", want "
                                       << want[at] << ", tolerance exceeded by " << worst;
}

// Σ(got − want)² / Σ want²: the error measure of weight formats. NaN where want is all zeros.
inline double NormalizedMeanSquaredError(std::span<const float> got, std::span<const float> want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const double difference = static_cast<double>(got[i]) - want[i];
    error += difference * difference;
    norm += static_cast<double>(want[i]) * want[i];
  }
  return error / norm;
}

}  // namespace qad

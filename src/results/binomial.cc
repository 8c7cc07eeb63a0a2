#include "results/binomial.h"

#include <algorithm>
#include <cmath>

namespace qad {
namespace {

// P(X ≥ k) for k above the mean: the terms fall from the first on, so nothing cancels and the sum may stop early.
double FarUpperTail(int64_t n, int64_t k, double p) {
  double term = BinomialMass(n, k, p), sum = 0;
  for (int64_t i = k; i <= n && term > sum * 1e-17; ++i) {
    sum += term;
    term *= static_cast<double>(n - i) / static_cast<double>(i + 1) * (p / (1 - p));
  }
  return std::min(sum, 1.0);
}

}  // namespace

double BinomialMass(int64_t n, int64_t k, double p) {
  if (k < 0 || k > n) return 0;
  if (p <= 0) return k == 0 ? 1 : 0;
  if (p >= 1) return k == n ? 1 : 0;
  const auto nn = static_cast<double>(n), kk = static_cast<double>(k);
  const double choose = std::lgamma(nn + 1) - std::lgamma(kk + 1) - std::lgamma(nn - kk + 1);
  return std::exp(choose + kk * std::log(p) + (nn - kk) * std::log1p(-p));
}

double BinomialUpperTail(int64_t n, int64_t k, double p) {
  if (k <= 0) return 1;
  if (k > n || p <= 0) return 0;
  if (p >= 1) return 1;
  if (static_cast<double>(k) > static_cast<double>(n) * p) return FarUpperTail(n, k, p);
  return 1 - FarUpperTail(n, n - k + 1, 1 - p);  // P(X ≤ k − 1), counted from the other end
}

double BinomialLowerTail(int64_t n, int64_t k, double p) { return BinomialUpperTail(n, n - k, 1 - p); }

}  // namespace qad

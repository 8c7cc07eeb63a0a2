// Tails of the binomial distribution, exact to rounding for any n.
#pragma once

#include <cstdint>

namespace qad {

// P(X ≥ k) and P(X ≤ k) for X ~ Binomial(n, p).
double BinomialUpperTail(int64_t n, int64_t k, double p);
double BinomialLowerTail(int64_t n, int64_t k, double p);
double BinomialMass(int64_t n, int64_t k, double p);

}  // namespace qad

// Products and sums of bytes that stay at UINT64_MAX where 64 bits do not hold them: absurd questions have absurd
// answers, not small ones.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>

namespace qad {

inline uint64_t CappedProduct(std::initializer_list<uint64_t> factors) {
  uint64_t product = 1;
  for (const uint64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product)) return std::numeric_limits<uint64_t>::max();
  return product;
}

inline uint64_t CappedSum(std::initializer_list<uint64_t> addends) {
  uint64_t sum = 0;
  for (const uint64_t addend : addends)
    if (__builtin_add_overflow(sum, addend, &sum)) return std::numeric_limits<uint64_t>::max();
  return sum;
}

}  // namespace qad

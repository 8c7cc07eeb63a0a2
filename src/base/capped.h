// Sums and products of bytes that stay at UINT64_MAX where 64 bits do not hold them: absurd questions have absurd
// answers, not small ones.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>

namespace qad {

inline constexpr uint64_t kBeyondCount = std::numeric_limits<uint64_t>::max();

inline uint64_t CappedProduct(std::initializer_list<uint64_t> factors) {
  uint64_t product = 1;
  for (const uint64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product)) return kBeyondCount;
  return product;
}

inline uint64_t CappedSum(std::initializer_list<uint64_t> addends) {
  uint64_t sum = 0;
  for (const uint64_t addend : addends)
    if (__builtin_add_overflow(sum, addend, &sum)) return kBeyondCount;
  return sum;
}

// The greatest of 0 … most that `fits`, where more takes more; 0 also where nothing does.
template <typename Fits>
uint64_t Greatest(uint64_t most, const Fits& fits) {
  uint64_t low = 0, high = most;
  while (low < high) {
    const uint64_t middle = high - (high - low) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

}  // namespace qad

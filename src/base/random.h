// Counter-based random numbers: value i of stream s is a pure function of (seed, s, i), so results do not depend on
// the number of threads or on the order of work. SplitMix64 (Steele, Lea, Flood 2014) as the mixing function.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace qad {

inline uint64_t MixBits(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

inline uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index) {
  return MixBits(MixBits(MixBits(seed) ^ stream) ^ index);
}

// Uniform in [0, 1), 53 bits.
inline double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return static_cast<double>(RandomBits(seed, stream, index) >> 11) * 0x1p-53;
}

// A sequential generator over one stream.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint64_t Bits() { return RandomBits(seed_, stream_, index_++); }
  double Uniform() { return RandomUniform(seed_, stream_, index_++); }
  // Uniform in [0, n); n > 0. Lemire's multiplication; its bias of n/2^64 is of no consequence here.
  uint64_t Below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(Bits()) * n) >> 64); }
  // Standard normal by Box and Muller.
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * Uniform());
  }
  // Fisher–Yates.
  template <typename Container>
  void Shuffle(Container& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t index_ = 0;
};

}  // namespace qad

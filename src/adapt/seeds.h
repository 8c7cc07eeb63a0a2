// One seed from the user, separate random streams for each purpose.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace qad {

enum class SeedPurpose : uint64_t { kInitialisation, kOrder, kDropout, kDevSplit };

inline uint64_t SeedFor(uint64_t seed, SeedPurpose purpose) {
  return RandomBits(seed, 0x61646170u, static_cast<uint64_t>(purpose));  // "adap"
}

}  // namespace qad

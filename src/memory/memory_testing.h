// For tests of memory/.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "memory/presets.h"
#include "results/memory_math.h"

namespace qad {

inline ModelConfig ConfigOfPreset(std::string_view name) {
  const Preset* preset = FindPreset(name);
  EXPECT_NE(preset, nullptr) << name;
  return PresetConfig(*preset);
}

inline uint64_t SumOf(const std::vector<MemoryPart>& parts) {
  uint64_t sum = 0;
  for (const MemoryPart& part : parts) sum += part.bytes;
  return sum;
}

}  // namespace qad

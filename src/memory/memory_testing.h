// For tests of memory/.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "memory/presets.h"

namespace qad {

inline ModelConfig ConfigOfPreset(std::string_view name) {
  const Preset* preset = FindPreset(name);
  EXPECT_NE(preset, nullptr) << name;
  return PresetConfig(*preset);
}

}  // namespace qad

// Configurations of well-known models, for arithmetic without their files: src/memory/presets/NAME.json, built into the
// program. Each has the fields of the published config.json that count, and says whose in "_source".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/embedded.h"
#include "model/config.h"

namespace qad {

using Preset = EmbeddedFile;  // called "llama-3.1-8b"

inline std::span<const Preset> AllPresets() { return PresetFiles(); }  // by name
const Preset* FindPreset(std::string_view name);                       // case-insensitive; null where unknown
std::string PresetSource(const Preset& preset);                        // "meta-llama/Llama-3.1-8B, config.json"
ModelConfig PresetConfig(const Preset& preset);  // errors: as ParseModelConfig, of mixtures of experts
std::vector<std::string> PresetNames();

}  // namespace qad

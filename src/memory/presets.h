// Configurations of well-known models, for arithmetic without their files.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "model/config.h"

namespace qad {

struct Preset {
  std::string_view name;    // "llama-3.1-8b"
  std::string_view source;  // the repository whose config.json the row was taken from
  std::string_view json;    // the fields that count
};

std::span<const Preset> AllPresets();
const Preset* FindPreset(std::string_view name);  // case-insensitive; null where unknown
ModelConfig PresetConfig(const Preset& preset);
std::string PresetNames();  // "llama-3.1-8b, mistral-7b, …", for messages

}  // namespace qad

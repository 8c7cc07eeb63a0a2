#include "memory/presets.h"

#include <algorithm>

#include "base/json.h"

namespace qad {
namespace {

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string Where(const Preset& preset) { return "preset " + std::string(preset.name); }

}  // namespace

const Preset* FindPreset(std::string_view name) {
  for (const Preset& preset : AllPresets())
    if (EqualIgnoringCase(preset.name, name)) return &preset;
  return nullptr;
}

std::string PresetSource(const Preset& preset) {
  return JsonObject(ParseJson(preset.text, Where(preset)), Where(preset)).String("_source");
}

ModelConfig PresetConfig(const Preset& preset) {
  return ParseModelConfig(ParseJson(preset.text, Where(preset)), Where(preset));
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const Preset& preset : AllPresets()) names.emplace_back(preset.name);
  return names;
}

}  // namespace qad

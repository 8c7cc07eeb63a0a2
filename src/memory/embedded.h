// Files of this folder as they are built into the program (qad_embed, cmake/house.cmake).
#pragma once

#include <span>
#include <string_view>

namespace qad {

struct EmbeddedFile {
  std::string_view name, text;  // the name without its folder and ".json"
};
std::span<const EmbeddedFile> PresetFiles();  // presets/*.json, by name
std::string_view MachinesJson();              // machines.json

}  // namespace qad

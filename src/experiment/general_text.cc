#include "experiment/general_text.h"

#include <filesystem>

#include "base/files.h"

namespace qad {

std::string GeneralText() {
  std::string text;
  for (const char* name : {"GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3"}) {
    const std::filesystem::path path = std::filesystem::path("/usr/share/common-licenses") / name;
    if (std::filesystem::exists(path)) text += ReadTextFile(path);
  }
  return text;
}

}  // namespace qad

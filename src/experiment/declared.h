// What was put down before any answer was there: comparisons, and the floors of the decision. Kept beside the results,
// so that what is added, taken out or moved after a look at them is told from what was not.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "experiment/config.h"

namespace qad {

struct Declared {
  std::vector<bool> beforehand;        // of each of the configuration's comparisons, in its order
  std::vector<std::string> withdrawn;  // comparisons that were declared, answered, and taken out: "a − b on s (m)"
  // As they were when the first answers came.
  std::map<std::string, double> floors;  // by slice
  double margin = 0;                     // of equivalence
  double confidence = 0;
};

// By root/declared.json, and what is new. A comparison is declared beforehand where not both of its arms had samples
// under `root` when it was first kept, or where it is not and they have none. Floors, margin and confidence may move
// until there are samples of any arm. Where there are results without such a file, what they call declared is. Errors
// (kInput): the file is malformed.
Declared DeclareBeforehand(const std::filesystem::path& root, const Config& config);
// Writes root/declared.json: to be called before samples are written. Errors: as above; kFailed: disk.
void KeepDeclared(const std::filesystem::path& root, const Config& config);

}  // namespace qad

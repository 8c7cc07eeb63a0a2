// Where and from what the results were made: versions, machine, hashes, seeds, date. Keys: docs/results.md.
#pragma once

#include "base/json.h"
#include "experiment/workspace.h"

namespace qad {

Json MakeManifest(Workspace& workspace);
// The checked configuration, as the report shows it.
Json SettingsJson(const Config& config);

}  // namespace qad

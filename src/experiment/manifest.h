// Where and from what the results were made: versions, machine, hashes, seeds, date. Keys: docs/results.md.
#pragma once

#include "base/json.h"
#include "experiment/workspace.h"

namespace qad {

Json MakeManifest(Workspace& workspace);
// The checked configuration, as the report shows it.
Json SettingsJson(const Config& config);
// All that decides how an adapter is trained, besides its data and base.
Json QuantizeSettings(const QuantizeConfig& quantize);
Json AdapterSettings(const AdapterConfig& adapter);

}  // namespace qad

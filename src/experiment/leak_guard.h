// Evaluation questions that stand, exactly or nearly, in what a model or a prompt could have seen.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "evaluate/leaks.h"
#include "experiment/workspace.h"

namespace qad {

// The pairs found in train, dev, adapters' own data and documents, also within answers and passages of training items,
// and in calibration texts.
std::vector<Leak> LeaksOf(const Config& config, std::span<const Item> train, std::span<const Item> dev,
                          std::span<const Item> eval);
Json LeakToJson(const Leak& leak);

// The pairs found in train, dev, adapters' own data and documents, with how alike they are; warned of on stderr.
// They are reported, not removed: the reader of the pack must know, and whether a pair is a leak is for a person to
// say.
Json LeaksJson(const Workspace& workspace);

// Errors (kUsage): some of `judged` stand word for word in `texts`, which weights are calibrated with, and that is not
// allowed: such weights would be fitted to what they are judged on. Where it is allowed stderr says so.
void RequireCleanTexts(const std::filesystem::path& texts, const std::vector<Item>& judged, bool allow_leak);
// The same of a configuration's own: its evaluation items, and its dev items where a search is judged on them.
void RequireCleanCalibration(const Workspace& workspace);

}  // namespace qad

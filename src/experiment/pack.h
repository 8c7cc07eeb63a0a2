// The documents of a pack, from what lies in its folder: memory math, decision, pages.
#pragma once

#include <filesystem>
#include <vector>

#include "experiment/workspace.h"
#include "results/decision.h"
#include "results/memory_math.h"
#include "results/results.h"

namespace qad {

// Of all arms that results.json describes. Errors (kInput): as ReadSamples; samples of another run.
std::vector<Sample> ReadAllSamples(const std::filesystem::path& root, const Results& results);

// From results alone: decision.json. Errors (kUsage): a partial run without `allow_partial`.
Decision MakeDecision(const Config& config, const std::filesystem::path& root, bool allow_partial);

// memory_math.json of the configuration's model, with what the run measured where there is a results.json.
MemoryMath MakeMemory(Workspace& workspace, const Results* results);

// memory_math.md, benchmark_results.md, decision_memo.md (which says so where there is no decision) and report.html,
// from what lies in `root`. Returns their paths.
std::vector<std::filesystem::path> RenderPack(const std::filesystem::path& root);

}  // namespace qad

// The documents of a pack, from what lies in its folder: memory math, decision, pages.
#pragma once

#include <filesystem>
#include <vector>

#include "experiment/workspace.h"
#include "report/pages.h"
#include "results/memory_math.h"
#include "results/results.h"

namespace qad {

// Of all arms that results.json describes. Errors (kInput): as ReadSamples; samples of another run.
std::vector<Sample> ReadAllSamples(const std::filesystem::path& root, const Results& results);

// What was measured: results, samples, memory math where it is there. Errors (kInput): as their readers.
Pack ReadMeasured(const std::filesystem::path& root);

inline constexpr int64_t kResamples = 1000;
// Decides on what was measured alone: pack.decision, and decision.json. Errors (kUsage): a partial run without
// `allow_partial`.
void MakeDecision(const Config& config, const std::filesystem::path& root, Pack& pack, bool allow_partial,
                  int64_t resamples = kResamples);

// memory_math.json of the configuration's model, with what the run measured where there is a results.json.
MemoryMath MakeMemory(Workspace& workspace, const Results* results);

// memory_math.md, benchmark_results.md, decision_memo.md (which says so where there is no decision) and report.html.
// Returns their paths.
std::vector<std::filesystem::path> RenderPack(const Pack& pack, const std::filesystem::path& root);
// From what lies in `root`, the decision included.
std::vector<std::filesystem::path> RenderPack(const std::filesystem::path& root);

}  // namespace qad

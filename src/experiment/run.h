// The whole loop over a workspace, and its parts as `qad train`, `qad eval` and `qad run` use them. Results land in
// workspace.root: results.json, samples/, memory_math.json, decision.json and the pack.
#pragma once

#include <filesystem>

#include "experiment/workspace.h"
#include "report/pages.h"
#include "results/results.h"

namespace qad {

// Trains every adapter of the configuration (or finds it trained); returns their rows and curves.
Results TrainAdapters(Workspace& workspace);

// Evaluates all arms, times and weighs them, and writes results.json. Adapters must be there.
Results EvaluateArms(Workspace& workspace);

// Everything but the pages (RenderPack), in order; finished stages are taken from the cache.
Pack RunAll(Workspace& workspace);

// Prints stages, and what they will take, without doing anything: `qad run --dry-run`.
Json PlanRun(Workspace& workspace);

}  // namespace qad

// The prediction put to the test: the model is loaded, its cache allocated and one step run.
#pragma once

#include <cstdint>
#include <vector>

#include "io/model_files.h"
#include "model/kv_cache.h"
#include "model/plan.h"
#include "results/memory_math.h"

namespace qad {

// Weights, cache, one step's workspace and the peak of this process's resident memory, each predicted beside measured;
// the peak upon what the process takes now. Errors (kInput): as RequireRunnable and Weights.
std::vector<PredictedMeasured> MeasureMemory(const ModelFiles& files, const Plan& plan, uint64_t context,
                                             uint64_t batch, FormatId kv_type, int threads);

}  // namespace qad

// The decision: rules, robustness, sensitivity and answers, from results alone. docs/decide.md states the rules.
#pragma once

#include <cstdint>
#include <vector>

#include "decide/options.h"
#include "results/decision.h"
#include "results/results.h"

namespace qad {

// `samples` of all arms, as far as there are any: without them nothing is resampled where floors are set. A memory
// budget of 0 is read from the manifest (machine.memory_bytes); where that is missing too, memory limits nothing and
// the decision says so.
// Partial results are judged like whole ones and the decision carries the mark: the caller refuses them where it must.
// resamples = 0 leaves robustness out. Never throws on missing rows: what was not measured is "unproven".
Decision Decide(const Results& results, const std::vector<Sample>& samples, DecideOptions options,
                int64_t resamples = 1000, uint64_t seed = 0);

// Below this share of resamples the headline names two arms.
inline constexpr double kDecided = 0.80;

}  // namespace qad

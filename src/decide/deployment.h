// Adapters and the weights under them: whether a quantized base (QLoRA) was worth it, and what is left of a training in
// the forms in which it may be served.
#pragma once

#include <string>
#include <vector>

#include "results/decision.h"
#include "results/results.h"

namespace qad {

// A sentence or two for each adapter that was trained on quantized weights, against the one of the same data on whole
// ones: memory and time of training, memory of serving, and the difference on each slice. One that says what is missing
// where there is no such pair.
std::vector<std::string> AnswerQlora(const Results& results, const std::vector<Sample>& samples);

// One for each form of the results, in their order. "lost" where a slice's answers are surely worse than those of the
// adapter as it was trained, with the whole interval of the paired difference; else by the KL divergence on the
// answers: "kept" at kEquivalentKl at most with its whole interval, "differs" above it, else "cannot tell". The remedy
// of what is lost or differs is the measured arm of the same training data, not larger than kAsSmall times the form,
// that answers best and has itself neither lost nor changed what it does.
std::vector<DeploymentAnswer> AnswerDeployments(const Results& results, const std::vector<Sample>& samples);

inline constexpr double kAsSmall = 1.15;

}  // namespace qad

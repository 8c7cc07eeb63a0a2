// What becomes of each arm when facts change: answers in figures beside the choice itself.
#pragma once

#include <string>
#include <vector>

#include "decide/evidence.h"
#include "results/decision.h"
#include "results/results.h"

namespace qad {

// The base as a control, then every arm that holds facts in an adapter or an index; empty where no slice of changing
// facts was scored.
std::vector<FreshnessAnswer> CheckFreshness(const Results& results, const Evidence& evidence,
                                            const std::vector<TopicAnswer>& topics, const DecideOptions& options);

// Sentences for facts that change once a week, the rest as it is: what the rules would choose, what RAG and retraining
// would cost, and what is answered in between.
std::vector<std::string> AnswerWeekly(const Decision& decision, const Evidence& evidence, const DecideOptions& options);

}  // namespace qad

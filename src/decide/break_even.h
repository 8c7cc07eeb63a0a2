// From how many changes, and from how many queries, one arm costs less than another.
#pragma once

#include <vector>

#include "decide/evidence.h"

namespace qad {

// Every RAG arm against every adapter that answers without an index. Arms whose costs were not measured are left out.
std::vector<BreakEven> FindBreakEven(const Results& results, const Evidence& evidence, const DecideOptions& options);

// Every arm that was trained or looks up, against every arm that needs less: an adapter against RAG, and both against
// arms that are prompts on the base's weights, or an endpoint's. Arms whose costs were not measured are left out.
std::vector<PayBack> FindPayBack(const Results& results, const Evidence& evidence, const DecideOptions& options);

// Which of the pairs the maps show: the first that was compared before the run (against a retrained adapter where
// there is one), and the one whose arms are right most often on the facts that changed. Each once.
std::vector<BreakEven> PairsToShow(const Results& results, const Decision& decision);

}  // namespace qad

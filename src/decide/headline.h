// The words of a decision: three lines for the top of the memo and the end of a run, and what is not known.
#pragma once

#include <string>
#include <vector>

#include "decide/options.h"
#include "results/decision.h"
#include "results/results.h"

namespace qad {

// The arm nearest to passing: fewest failed rules, then fewest unproven ones, then the one whose worst lower
// bound is the largest share of its floor, then the earliest. Null without arms.
const ArmDecision* Closest(const Decision& decision);

// What, at what cost, how sure. Where no arm passes: that none does, on which rule, and how many items would settle it.
std::vector<std::string> Headline(const Decision& decision);

// Power, seeds, and everything that was not measured or is left out. `fixed`: arms without samples.
std::vector<std::string> Unknowns(const Decision& decision, const Results& results, const DecideOptions& options,
                                  const std::vector<std::string>& fixed);

// "52.5% (40.1–64.6), floor 60%, n = 60": a check with its figures.
std::string DescribeCheck(const RuleCheck& check);

}  // namespace qad

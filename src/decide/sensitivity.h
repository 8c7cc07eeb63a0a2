// What would change the answer: each constraint moved alone, all floors together, and the map over queries and changes
// per month.
#pragma once

#include <vector>

#include "decide/evidence.h"

namespace qad {

// One per constraint: the value nearest to today's at which the rules choose another arm. Found by walking away from
// today's value in both directions in steps of 2% (a factor of 1,000 at most; floors and utilization in steps of 0.01
// between 0 and 1) and halving the first step on which the choice changes until it is 0.01% wide.
std::vector<Flip> FindFlips(const Evidence& evidence, const DecideOptions& options);

// The choice for each pair of volumes around today's (which is one of them).
WinnerMap MapWinners(const Evidence& evidence, const DecideOptions& options);

// The cheaper arm of a pair over the same volumes, floors and limits aside.
PairMap MapCheaper(const BreakEven& pair, const Evidence& evidence, const DecideOptions& options);

}  // namespace qad

// What follows from rows and samples: nothing is measured here.
#pragma once

#include <vector>

#include "experiment/workspace.h"
#include "results/results.h"

namespace qad {

// Adds each arm's seconds to bring its facts up to date and seconds of one query, RowsBeforeUpdate, and compares arms:
// the declared comparisons (`beforehand`: DeclareBeforehand), and every arm with the first on the primary metric of
// each slice. Samples are read from workspace.root.
void AddDerived(const Workspace& workspace, const std::vector<bool>& beforehand, Results& results);

}  // namespace qad

// What follows from rows and samples: nothing is measured here.
#pragma once

#include "experiment/workspace.h"
#include "results/results.h"

namespace qad {

// Adds each arm's seconds to bring its facts up to date and seconds of one query, and compares arms: the declared
// comparisons, and every arm with the first on the primary metric of each slice. Samples are read from workspace.root.
void AddDerived(const Workspace& workspace, Results& results);

}  // namespace qad

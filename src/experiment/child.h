// This program run again as a child: what a process of its own needs can only be measured there.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace qad {

// Runs /proc/self/exe with these arguments and --json; returns the document on its stdout. stderr is inherited.
// Errors (kFailed): it cannot be started, or ends with another code than 0; (kInterrupted) it was interrupted.
Json RunSelf(const std::vector<std::string>& arguments);

}  // namespace qad

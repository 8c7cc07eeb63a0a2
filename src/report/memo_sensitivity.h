// The memo's section on what would change its answer: flips, maps, break-evens.
#pragma once

#include "report/pages.h"

namespace qad {

// Where there is a decision.
void SaySensitivity(const Pack& pack, Document& page);

}  // namespace qad

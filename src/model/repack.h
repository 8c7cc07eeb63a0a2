// Stored blocks into the runtime's. Lossless: the decoded values are equal (tested per format).
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace qad {

// One row of `cols` values of an integer format with a block → codes and scales of LayoutFor(format), as PlaceRow wants
// them.
void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, std::byte* scales);

}  // namespace qad

// Stored blocks of 32 into the runtime's affine blocks. Lossless: the decoded values are equal (tested per format).
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace qad {

// One row of `cols` values (a multiple of 32) in Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0 → codes of LayoutFor(format) and one
// (scale, offset) pair of f16 per block.
void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, uint16_t* pairs);

}  // namespace qad

// Stored blocks into the runtime's. Lossless for scales that weights have (Q4_0 up to 8188, Q5_0 up to 4094: beyond,
// the offset of a block would not fit in f16, which is an error): the decoded values are equal (tested per format).
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace qad {

// One row of `cols` values of an integer format with a block → codes and scales of LayoutFor(format), as PlaceRow wants
// them. Errors (kInput): a scale out of range.
void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, std::byte* scales);

}  // namespace qad

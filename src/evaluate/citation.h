// Which passage an answer rests on. Small models do not write citations that can be trusted: the program looks where
// the answer's words stand, and cites that.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "text/dataset.h"

namespace qad {

// The first passage that holds the whole answer, normalized; else the one that holds most of its different words that
// are no function words, the first of equals, where these are at least half of them. Nothing otherwise.
std::optional<size_t> CitedPassage(std::string_view answer, std::span<const Passage> passages);

}  // namespace qad

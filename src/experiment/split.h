// A dataset cut into what is learned from, what is tuned on, and what is judged.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/dataset.h"

namespace qad {

// Places in the dataset, in its order; each item in one of them.
struct Split {
  std::vector<size_t> train, dev, eval;
};

// Half for train, a tenth for dev, the rest for eval, of each slice, drawn by the seed. Items that ask the same (once
// normalized) stay together. Of a fact that is asked about in several ways eval gets some of them and train others,
// whatever the shares: an adapter is judged on facts that it has seen, in words that it has not. Errors (kInput): train
// or eval would be empty.
Split SplitItems(std::span<const Item> items, uint64_t seed);

}  // namespace qad

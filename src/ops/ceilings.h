// What this machine can do at most, measured in the process that measures a model: figures mean little without it.
#pragma once

#include <cstddef>

#include "ops/context.h"

namespace qad {

struct Ceilings {
  double gigabytes_per_second = 0;  // reading a buffer of the weights' size, at most 256 MiB, with all threads
  double gigaflops = 0;             // dense products in bf16 (f32 in exact mode or without bf16), operands in the cache
};

// The best of twenty tries, a fraction of a second. `bytes`: of the weights.
Ceilings MeasureCeilings(Context& context, size_t bytes);

}  // namespace qad

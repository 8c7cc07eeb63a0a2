// What this machine can do at most, measured in the process that measures a model: figures mean little without it.
#pragma once

#include <cstddef>

#include "ops/context.h"

namespace qad {

struct Ceilings {
  double gigabytes_per_second = 0;  // reading a buffer of the weights' size, 256 MiB at most, in huge pages
  // Of dense products, operands in the cache.
  double gigaflops = 0;       // in bf16 (f32 in exact mode or without bf16)
  double int8_gigaflops = 0;  // of int8 codes in whole numbers, by oneDNN; a multiplication and an addition are two
};

// The best of twenty tries, a fraction of a second. `bytes`: of the weights.
Ceilings MeasureCeilings(Context& context, size_t bytes);

}  // namespace qad

// What this machine can do at most, measured in the process that measures a model: figures mean little without it.
#pragma once

#include <array>
#include <cstddef>

#include "ops/context.h"
#include "ops/linear.h"

namespace qad {

struct Ceilings {
  double gigabytes_per_second = 0;  // reading a buffer of the weights' size, 256 MiB at most, in huge pages
  // Of dense products, operands in the cache, by `Products`: by oneDNN (in f32 without AVX-512 by OpenBLAS), or by our
  // own kernel of bf16 where that is quicker; a multiplication and an addition of whole numbers are two, too. Zero
  // where the context does not multiply in bf16.
  std::array<double, kProductsNames.size()> gigaflops = {};
};

// The best of twenty tries, a fraction of a second. `bytes`: of the weights.
Ceilings MeasureCeilings(Context& context, size_t bytes);

}  // namespace qad

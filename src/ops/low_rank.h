// The adapters of a linear (LoRA, Hu et al. 2021, eq. 3): y[first …] += scale · B (A x̃), x̃ the input after dropout.
// Forward stands above backward. Work is cut by shape into few parallel regions: the products are small, and so waiting
// at the end of each would cost more than they do.
#pragma once

#include "ops/linear.h"

namespace qad {

// x (m, in) with row stride ldx. `tape`, where not null, receives x̃·Aᵀ of every adapter, one after another, (m, rank).
void LowRankForward(Context& context, const Linear& linear, const float* x, size_t m, size_t ldx, float* y, size_t ldy,
                    const Dropout& dropout, float* tape);

// dx += the adapters' share; their gradients, where given, are added to.
void LowRankBackward(Context& context, const Linear& linear, const float* x, size_t ldx, const float* tape,
                     const float* dy, size_t m, size_t ldy, float* dx, size_t ldx_gradient, const Dropout& dropout);

}  // namespace qad

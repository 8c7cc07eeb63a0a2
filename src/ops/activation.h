// The function between the two products of an MLP, over packed rows. Forward stands above backward.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/context.h"

namespace qad {

enum class Activation : uint8_t {
  kSwiGlu,    // Shazeer 2020: silu(gate) · up, with gate and up side by side in a row of 2n values
  kGeluTanh,  // Hendrycks & Gimpel 2016, tanh form ("gelu_new"), of n values
  kGelu,      // the same, x·Φ(x) itself ("gelu"); forward alone
};

// Values that go into `n` outputs: 2n where gated.
inline size_t ActivationInputs(Activation activation, size_t n) {
  return activation == Activation::kSwiGlu ? 2 * n : n;
}

// x (rows, inputs) → y (rows, ldy), n of each; y may be x where ldy is its width.
void ActivationForward(Context& context, Activation activation, const float* x, size_t rows, size_t n, float* y,
                       size_t ldy);
// dx (rows, inputs) is overwritten with the gradient of dy (rows, n).
void ActivationBackward(Context& context, Activation activation, const float* x, const float* dy, size_t rows, size_t n,
                        float* dx);

}  // namespace qad

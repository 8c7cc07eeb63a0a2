// Dropout (Srivastava et al. 2014) whose mask is a function of a counter (base/random.h): element i of a stream is kept
// with probability 1 − p, and then multiplied by 1/(1 − p). Nothing of the mask is stored.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

struct DropoutMask {
  DropoutMask(float p, uint64_t seed, uint64_t stream);

  bool active() const { return threshold > 0; }

  // RandomUniform(seed, stream, i) < p, with all that does not depend on i done before.
  uint64_t key, threshold;
  float kept;  // 1/(1 − p)
};

// out[i] = x[i] ∘ mask of element first + i; out may be x.
void ApplyDropout(const DropoutMask& mask, uint64_t first, const float* x, float* out, size_t n);
// dx[i] += gradient[i] ∘ the same mask.
void AddThroughDropout(const DropoutMask& mask, uint64_t first, const float* gradient, float* dx, size_t n);

}  // namespace qad

#include "ops/activation.h"

#include "base/error.h"
#include "kernels/elementwise.h"
#include "ops/parallel.h"

namespace qad {

void ActivationForward(Context& context, Activation activation, const float* x, size_t rows, size_t n, float* y,
                       size_t ldy) {
  const ScopedTimer timer(context, Timed::kActivation);
  const size_t inputs = ActivationInputs(activation, n);
  ForEachRow(rows, n, [&](size_t r) {
    const float* row = x + r * inputs;
    if (activation == Activation::kSwiGlu)
      SwiGlu(row, row + n, y + r * ldy, n);
    else if (activation == Activation::kGelu)
      Gelu(row, y + r * ldy, n);
    else
      GeluTanh(row, y + r * ldy, n);
  });
}

void ActivationBackward(Context& context, Activation activation, const float* x, const float* dy, size_t rows, size_t n,
                        float* dx) {
  const ScopedTimer timer(context, Timed::kActivation);
  QAD_CHECK(activation != Activation::kGelu);
  const size_t inputs = ActivationInputs(activation, n);
  ForEachRow(rows, n, [&](size_t r) {
    const float* row = x + r * inputs;
    float* d_row = dx + r * inputs;
    if (activation == Activation::kSwiGlu)
      SwiGluBackward(row, row + n, dy + r * n, d_row, d_row + n, n);
    else
      GeluTanhBackward(row, dy + r * n, d_row, n);
  });
}

}  // namespace qad

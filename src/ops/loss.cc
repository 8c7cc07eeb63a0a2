#include "ops/loss.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "ops/parallel.h"

namespace qad {
namespace {

size_t Draw(std::span<const float> probabilities, double uniform) {
  double sum = 0;
  size_t last = 0;  // of those that are possible: sums of floats may end below one
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] > 0) last = i;
    sum += static_cast<double>(probabilities[i]);
    if (sum > uniform) return i;
  }
  return last;
}

// Rows become softmax − one-hot of choose(row, probabilities), those behind the first `count` zero.
template <typename Choose>
void Gradients(float* logits, size_t rows, size_t count, size_t vocab, const Choose& choose) {
  QAD_CHECK(count <= rows);
  ForEachRow(rows, vocab, [&](size_t r) {
    float* row = logits + r * vocab;
    if (r < count)
      row[choose(r, row)] -= 1.0f;
    else
      std::fill_n(row, vocab, 0.0f);
  });
}

}  // namespace

void CrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const int32_t> targets, double* losses) {
  Gradients(logits, rows, targets.size(), vocab, [&](size_t r, float* row) {
    const auto target = static_cast<size_t>(targets[r]);
    const float at_target = row[target];
    losses[r] = static_cast<double>(Softmax(row, 1.0f, row, vocab)) - at_target;
    return target;
  });
}

void SampledCrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const double> uniforms, double* losses) {
  Gradients(logits, rows, uniforms.size(), vocab, [&](size_t r, float* row) {
    (void)Softmax(row, 1.0f, row, vocab);
    const size_t target = Draw({row, vocab}, uniforms[r]);
    losses[r] = -std::log(static_cast<double>(row[target]));
    return target;
  });
}

}  // namespace qad

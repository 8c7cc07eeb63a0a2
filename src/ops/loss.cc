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

}  // namespace

void CrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const int32_t> targets, double* losses) {
  QAD_CHECK(targets.size() <= rows);
  ForEachRow(rows, vocab, [&](size_t r) {
    float* row = logits + r * vocab;
    if (r >= targets.size()) {
      std::fill_n(row, vocab, 0.0f);
      return;
    }
    const auto target = static_cast<size_t>(targets[r]);
    const float at_target = row[target];
    losses[r] = static_cast<double>(Softmax(row, 1.0f, row, vocab)) - at_target;
    row[target] -= 1.0f;
  });
}

void SampledCrossEntropy(float* logits, size_t rows, size_t vocab, std::span<const double> uniforms, double* losses) {
  QAD_CHECK(uniforms.size() <= rows);
  ForEachRow(rows, vocab, [&](size_t r) {
    float* row = logits + r * vocab;
    if (r >= uniforms.size()) {
      std::fill_n(row, vocab, 0.0f);
      return;
    }
    (void)Softmax(row, 1.0f, row, vocab);
    const size_t target = Draw({row, vocab}, uniforms[r]);
    losses[r] = -std::log(static_cast<double>(row[target]));
    row[target] -= 1.0f;
  });
}

}  // namespace qad

#include "ops/loss.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "ops/parallel.h"

namespace qad {

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

}  // namespace qad

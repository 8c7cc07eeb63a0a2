#include "adapt/optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/elementwise.h"

namespace qad {
namespace {

constexpr size_t kChunk = 1 << 14;  // elements a thread takes at a time: work is cut by size, not by threads
constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
constexpr float kEpsilon = 1e-8f;

}  // namespace

double GlobalNorm(std::span<const float> gradients) {
  const size_t chunks = (gradients.size() + kChunk - 1) / kChunk;
  std::vector<double> sums(chunks);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < static_cast<int64_t>(chunks); ++i) {
    const size_t begin = static_cast<size_t>(i) * kChunk;
    sums[static_cast<size_t>(i)] = SumOfSquares(gradients.data() + begin, std::min(kChunk, gradients.size() - begin));
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return std::sqrt(sum);
}

double ClipFactor(double norm, double max_norm) { return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0; }

void AdamWOptimizer::Step(LoraAdapter& adapter, double learning_rate, double weight_decay, double gradient_scale) {
  const std::span<float> values = adapter.values(), gradients = adapter.gradients();
  QAD_CHECK(values.size() == m_.size() && gradients.size() == m_.size());
  ++steps_;
  const auto steps = static_cast<double>(steps_);
  const AdamWStep step{.beta1 = kBeta1,
                       .beta2 = kBeta2,
                       .learning_rate = static_cast<float>(learning_rate),
                       .epsilon = kEpsilon,
                       .weight_decay = static_cast<float>(weight_decay),
                       .correction1 = static_cast<float>(1 - std::pow(kBeta1, steps)),
                       .correction2 = static_cast<float>(1 - std::pow(kBeta2, steps)),
                       .gradient_scale = static_cast<float>(gradient_scale)};
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < static_cast<int64_t>((m_.size() + kChunk - 1) / kChunk); ++i) {
    const size_t begin = static_cast<size_t>(i) * kChunk;
    AdamW(step, gradients.data() + begin, values.data() + begin, m_.data() + begin, v_.data() + begin,
          std::min(kChunk, m_.size() - begin));
  }
}

}  // namespace qad

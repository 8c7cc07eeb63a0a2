#include "adapt/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "adapt/adapt_testing.h"
#include "base/testing.h"

namespace qad {
namespace {

TEST(GlobalNorm, AddsOverAllChunks) {
  std::vector<float> gradients(100003);
  double sum = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    gradients[i] = std::sin(static_cast<float>(i));
    sum += static_cast<double>(gradients[i]) * gradients[i];
  }
  EXPECT_NEAR(GlobalNorm(gradients), std::sqrt(sum), 1e-9);  // doubles throughout
  EXPECT_EQ(GlobalNorm(std::vector<float>{}), 0);
  gradients[77777] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(GlobalNorm(gradients)));
  gradients[77777] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(GlobalNorm(gradients)));
}

TEST(ClipFactor, IsTorchs) {
  EXPECT_EQ(ClipFactor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(ClipFactor(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(ClipFactor(4, 0), 1) << "0: no clipping";
}

// The update as torch.optim.AdamW's documentation writes it, in double.
TEST(AdamWOptimizer, FollowsThePublishedUpdate) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  LoraAdapter adapter(model, {}, 1);
  adapter.EnableGradients();
  AdamWOptimizer optimizer(adapter.parameters());
  const size_t n = adapter.parameters();
  std::vector<double> weight(adapter.values().begin(), adapter.values().end()), m(n), v(n);
  constexpr double kRate = 0.02, kDecay = 0.1, kClip = 0.25;
  for (int step = 1; step <= 5; ++step) {
    for (size_t i = 0; i < n; ++i) {
      adapter.gradients()[i] = std::sin(static_cast<float>(i * 7 + static_cast<size_t>(step)));
      const double g = kClip * static_cast<double>(adapter.gradients()[i]);
      weight[i] -= kRate * kDecay * weight[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      weight[i] -= kRate * (m[i] / (1 - std::pow(0.9, step))) / (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
    }
    optimizer.Step(adapter, kRate, kDecay, kClip);
  }
  EXPECT_EQ(optimizer.steps(), 5);
  const std::vector<float> want(weight.begin(), weight.end());
  // Five steps of at most kRate each, every one with a few f32 roundings (2⁻²⁴ relative), and weights below 0.3.
  EXPECT_TRUE(AllClose(adapter.values(), want, 5 * (kRate * 1e-5 + 0.3 * 1e-7)));
}

}  // namespace
}  // namespace qad

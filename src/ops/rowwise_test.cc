// Norms, activations, rotary embedding and loss: forward against the formula in f64, backward against its central
// differences. Few short rows run on one thread, many long ones in parallel.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "base/testing.h"
#include "ops/activation.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/rows.h"

namespace qad {
namespace {

using Row = std::vector<double>;
using RowFunction = std::function<Row(size_t row, const Row& x)>;

// Sums of some hundred f32 products; the vectorized exponentials keep about 1e-6.
constexpr double kTolerance = 2e-5;
constexpr double kStep = 1e-5;  // of the differences: their own error is some kStep² and 2^-53/kStep, below 1e-10

struct Size {
  size_t rows, n;
};
constexpr Size kSizes[] = {{1, 1}, {3, 7}, {2, 33}, {40, 256}};

std::vector<float> Uniform(uint64_t stream, size_t n) {  // −2 … 2
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(4 * RandomUniform(11, stream, i) - 2);
  return values;
}

Row RowOf(const std::vector<float>& x, size_t row, size_t width) {
  const auto begin = x.begin() + static_cast<std::ptrdiff_t>(row * width);
  return {begin, begin + static_cast<std::ptrdiff_t>(width)};
}

std::vector<float> Outputs(const RowFunction& f, const std::vector<float>& x, size_t rows) {
  std::vector<float> out;
  for (size_t r = 0; r < rows; ++r)
    for (const double y : f(r, RowOf(x, r, x.size() / rows))) out.push_back(static_cast<float>(y));
  return out;
}

// d Σ dy·f / dx.
std::vector<float> Gradients(const RowFunction& f, const std::vector<float>& x, const std::vector<float>& dy,
                             size_t rows) {
  std::vector<float> gradients;
  for (size_t r = 0; r < rows; ++r) {
    const Row weights = RowOf(dy, r, dy.size() / rows);
    const auto sum = [&](const Row& at) {
      const Row y = f(r, at);
      return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
    };
    Row at = RowOf(x, r, x.size() / rows);
    for (double& value : at) {
      const double before = value;
      value = before + kStep;
      const double above = sum(at);
      value = before - kStep;
      gradients.push_back(static_cast<float>((above - sum(at)) / (2 * kStep)));
      value = before;
    }
  }
  return gradients;
}

class Rowwise : public ::testing::TestWithParam<Size> {
 protected:
  size_t rows_ = GetParam().rows, n_ = GetParam().n;
  Context context_{Numerics::kExact, 2};
};
INSTANTIATE_TEST_SUITE_P(Sizes, Rowwise, ::testing::ValuesIn(kSizes), [](const auto& row) {
  return std::to_string(row.param.rows) + "x" + std::to_string(row.param.n);
});

TEST_P(Rowwise, Norm) {
  const std::vector<float> x = Uniform(0, rows_ * n_), dy = Uniform(1, rows_ * n_), start = Uniform(2, rows_ * n_);
  const std::vector<float> gain = Uniform(3, n_), bias = Uniform(4, n_);
  for (const Norm kind : {Norm::kRms, Norm::kLayer}) {
    const NormWeights norm{.kind = kind, .width = n_, .epsilon = 0.25f, .gain = gain.data(), .bias = bias.data()};
    const RowFunction f = [&](size_t, const Row& row) {
      const auto n = static_cast<double>(n_);
      const bool layer = kind == Norm::kLayer;
      const double mean = layer ? std::accumulate(row.begin(), row.end(), 0.0) / n : 0;
      double squares = 0;
      for (const double v : row) squares += (v - mean) * (v - mean);
      Row y;
      for (size_t i = 0; i < n_; ++i)
        y.push_back((row[i] - mean) / std::sqrt(squares / n + 0.25) * gain[i] + (layer ? bias[i] : 0.0f));
      return y;
    };
    std::vector<float> y(rows_ * n_), stats(rows_ * kNormStats), dx = start;
    NormForward(context_, norm, x.data(), rows_, y.data(), stats.data());
    EXPECT_TRUE(AllClose(y, Outputs(f, x, rows_), kTolerance, kTolerance));
    NormBackward(context_, norm, x.data(), stats.data(), dy.data(), rows_, dx.data());
    std::vector<float> want = Gradients(f, x, dy, rows_);
    for (size_t i = 0; i < want.size(); ++i) want[i] += start[i];
    EXPECT_TRUE(AllClose(dx, want, kTolerance, kTolerance));
    std::vector<float> in_place = x;
    NormForward(context_, norm, in_place.data(), rows_, in_place.data());
    EXPECT_EQ(in_place, y);
  }
}

TEST_P(Rowwise, Activation) {
  for (const Activation activation : {Activation::kSwiGlu, Activation::kGeluTanh}) {
    const size_t inputs = ActivationInputs(activation, n_);
    const std::vector<float> x = Uniform(5, rows_ * inputs), dy = Uniform(6, rows_ * n_);
    const RowFunction f = [&](size_t, const Row& row) {
      Row y;
      for (size_t i = 0; i < n_; ++i) {
        const double z = row[i];
        if (activation == Activation::kSwiGlu)
          y.push_back(z / (1 + std::exp(-z)) * row[n_ + i]);
        else
          y.push_back(0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z))));
      }
      return y;
    };
    std::vector<float> y(rows_ * n_), dx(rows_ * inputs, 9.0f);
    ActivationForward(context_, activation, x.data(), rows_, n_, y.data(), n_);
    EXPECT_TRUE(AllClose(y, Outputs(f, x, rows_), kTolerance, kTolerance));
    std::vector<float> in_place = x;
    ActivationForward(context_, activation, in_place.data(), rows_, n_, in_place.data(), inputs);
    for (size_t r = 0; r < rows_; ++r)
      for (size_t i = 0; i < inputs; ++i)
        ASSERT_EQ(in_place[r * inputs + i], i < n_ ? y[r * n_ + i] : x[r * inputs + i]) << r << " " << i;
    ActivationBackward(context_, activation, x.data(), dy.data(), rows_, n_, dx.data());
    EXPECT_TRUE(AllClose(dx, Gradients(f, x, dy, rows_), kTolerance, kTolerance));
  }
}

TEST_P(Rowwise, RotaryTurnsTheFirstHeadsOnly) {
  const size_t dim = 6, heads = 2, width = heads * dim + n_;
  const std::vector<float> x = Uniform(7, rows_ * width), dy = Uniform(8, rows_ * width);
  std::vector<size_t> positions(rows_);
  for (size_t r = 0; r < rows_; ++r) positions[r] = r * 5 % 17;
  RotaryTable table(100.0f, dim);
  table.Extend(3);
  table.Extend(17);  // in two steps: what was there stays
  const RowFunction f = [&](size_t r, const Row& row) {
    Row y = row;
    for (size_t at = 0; at < heads * dim; at += dim)
      for (size_t i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(positions[r]) * std::pow(100.0, -2.0 * static_cast<double>(i) / dim);
        const double a = row[at + i], b = row[at + dim / 2 + i];
        y[at + i] = a * std::cos(angle) - b * std::sin(angle);
        y[at + dim / 2 + i] = b * std::cos(angle) + a * std::sin(angle);
      }
    return y;
  };
  std::vector<float> y = x, dx = dy;
  RotaryForward(context_, table, positions, heads, y.data(), width);
  EXPECT_TRUE(AllClose(y, Outputs(f, x, rows_), kTolerance, kTolerance));
  RotaryBackward(context_, table, positions, heads, dx.data(), width);
  EXPECT_TRUE(AllClose(dx, Gradients(f, x, dy, rows_), kTolerance, kTolerance));
}

// Targets are drawn as often as they are likely, and the gradient is that of the target drawn.
TEST(SampledCrossEntropy, DrawsFromThePredictions) {
  const std::vector<float> row = {0.0f, 1.0f, -HUGE_VALF, 2.0f};
  const double sum = 1 + std::exp(1.0) + std::exp(2.0);
  const std::vector<double> likely = {1 / sum, std::exp(1.0) / sum, 0, std::exp(2.0) / sum};
  constexpr size_t kDraws = 4000;
  std::vector<float> logits;
  std::vector<double> uniforms, losses(kDraws);
  for (size_t i = 0; i < kDraws; ++i) {
    logits.insert(logits.end(), row.begin(), row.end());
    uniforms.push_back(static_cast<double>(i) / kDraws);
  }
  uniforms.back() = std::nextafter(1.0, 0.0);
  logits.insert(logits.end(), row.begin(), row.end());  // one row more, which is zeroed
  SampledCrossEntropy(logits.data(), kDraws + 1, 4, uniforms, losses.data());
  std::vector<double> drawn(4);
  for (size_t i = 0; i < kDraws; ++i)
    for (size_t v = 0; v < 4; ++v) {
      const double rest = static_cast<double>(logits[4 * i + v]) - likely[v];
      if (rest > -0.5) continue;
      EXPECT_NEAR(rest, -1, 1e-6);
      EXPECT_NEAR(losses[i], -std::log(likely[v]), 1e-5);
      drawn[v] += 1.0 / kDraws;
    }
  for (size_t v = 0; v < 4; ++v) EXPECT_NEAR(drawn[v], likely[v], 2.0 / kDraws);
  for (size_t v = 0; v < 4; ++v) EXPECT_EQ(logits[4 * kDraws + v], 0);
}

TEST_P(Rowwise, CrossEntropyLeavesItsGradient) {
  const std::vector<float> x = Uniform(9, rows_ * n_);
  std::vector<int32_t> targets(rows_);
  for (size_t r = 0; r < rows_; ++r) targets[r] = static_cast<int32_t>(r * 3 % n_);
  const RowFunction f = [&](size_t r, const Row& row) {
    double sum = 0;
    for (const double z : row) sum += std::exp(z);
    return Row{std::log(sum) - row[static_cast<size_t>(targets[r])]};
  };
  std::vector<double> losses(rows_);
  std::vector<float> logits = x;
  logits.resize((rows_ + 1) * n_, 7.0f);  // a row of padding
  CrossEntropy(logits.data(), rows_ + 1, n_, targets, losses.data());
  EXPECT_TRUE(AllClose(std::vector<float>(losses.begin(), losses.end()), Outputs(f, x, rows_), kTolerance));
  std::vector<float> want = Gradients(f, x, std::vector<float>(rows_, 1.0f), rows_);
  want.resize(logits.size(), 0.0f);
  EXPECT_TRUE(AllClose(logits, want, kTolerance));
}

TEST(Rows, GatheredAndScattered) {
  const std::vector<float> x = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<size_t> rows = {1, 3};
  std::vector<float> some(4), all(8, -1.0f);
  GatherRows(x.data(), rows, 2, some.data());
  EXPECT_EQ(some, (std::vector<float>{2, 3, 6, 7}));
  Scale(some.data(), 0.5f, some.size());
  ScatterRows(some.data(), rows, 2, all.data());
  EXPECT_EQ(all, (std::vector<float>{-1, -1, 1, 1.5, -1, -1, 3, 3.5}));
}

}  // namespace
}  // namespace qad

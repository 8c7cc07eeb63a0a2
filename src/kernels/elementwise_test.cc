#include "kernels/elementwise.h"

#include <limits>
#include <numeric>

#include "base/testing.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

class Elementwise : public PerTarget {};
QAD_PER_TARGET(Elementwise);

constexpr double kEps = 0x1p-24;  // half an ulp of 1 in f32
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Doubles = std::vector<double>;

std::vector<float> ToFloats(const Doubles& values) { return {values.begin(), values.end()}; }

double Mean(const Doubles& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// d/dx[i] of f by central differences in double; f takes the whole vector.
template <class F>
Doubles Differences(Doubles x, F&& f) {
  constexpr double kStep = 1e-5;
  Doubles gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i];
    x[i] = kept + kStep;
    const double above = f(x);
    x[i] = kept - kStep;
    gradient[i] = (above - f(x)) / (2 * kStep);
    x[i] = kept;
  }
  return gradient;
}

Doubles RmsReference(const Doubles& x, const std::vector<float>& gain, double eps) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double inverse = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Doubles out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * inverse * static_cast<double>(gain[i]);
  return out;
}

Doubles LayerNormReference(const Doubles& x, const std::vector<float>& gain, const std::vector<float>& bias,
                           double eps) {
  const double mean = Mean(x);
  Doubles squares(x.size()), out(x.size());
  for (size_t i = 0; i < x.size(); ++i) squares[i] = (x[i] - mean) * (x[i] - mean);
  const double inverse = 1 / std::sqrt(Mean(squares) + eps);
  for (size_t i = 0; i < x.size(); ++i)
    out[i] = (x[i] - mean) * inverse * static_cast<double>(gain[i]) + static_cast<double>(bias[i]);
  return out;
}

double SiluReference(double z) { return z / (1 + std::exp(-z)); }
double GeluReference(double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

double Inner(const Doubles& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<double>(b[i]);
  return sum;
}

Doubles ToDoubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

// Sums of squares of n terms in f32: relative error at most n·eps in theory, √n·eps in practice; 8·eps covers the
// vector sums here, and a few roundings follow.
constexpr double kNormRelative = 16 * kEps, kNormAbsolute = 16 * kEps;
// Central differences in double are good to 1e-9; what remains is f32 rounding of sums of up to a few thousand terms.
constexpr double kGradient = 4e-6;

TEST_P(Elementwise, RmsNormAndItsGradient) {
  constexpr float kEpsilon = 1e-5f;
  for (const size_t n : OddSizes()) {
    const auto x = Normals(n, 1), gain = Normals(n, 2), dy = Normals(n, 3);
    std::vector<float> out(n), dx = Normals(n, 4);
    const auto before = dx;
    const float inverse = RmsNorm(x.data(), gain.data(), kEpsilon, out.data(), n);
    const double eps = static_cast<double>(kEpsilon);
    EXPECT_TRUE(AllClose(out, ToFloats(RmsReference(ToDoubles(x), gain, eps)), kNormAbsolute, kNormRelative)) << n;
    if (n > 600) continue;  // differences are quadratic in n
    RmsNormBackward(x.data(), gain.data(), inverse, dy.data(), dx.data(), n);
    Doubles want = Differences(ToDoubles(x), [&](const Doubles& at) { return Inner(RmsReference(at, gain, eps), dy); });
    for (size_t i = 0; i < n; ++i) want[i] += static_cast<double>(before[i]);
    // n = 1 normalizes to ±1: x's own scale 1/x and its cancellation both enter.
    const double scale = std::max(1.0, static_cast<double>(inverse));
    EXPECT_TRUE(AllClose(dx, ToFloats(want), kGradient * scale, kGradient)) << n;
  }
}

TEST_P(Elementwise, LayerNormAndItsGradient) {
  constexpr float kEpsilon = 1e-5f;
  const double eps = static_cast<double>(kEpsilon);
  for (const size_t n : OddSizes()) {
    auto x = Normals(n, 1);
    for (float& v : x) v += 3.0f;  // a mean that one-pass formulas would cancel against
    const auto gain = Normals(n, 2), bias = Normals(n, 3), dy = Normals(n, 4);
    std::vector<float> out(n), dx(n, 0.5f);
    const LayerNormStats stats = LayerNorm(x.data(), gain.data(), bias.data(), kEpsilon, out.data(), n);
    // The mean, 3, is a sum of n terms; the scalar target adds them one after another: √n roundings. n = 1 has variance
    // 0 and 1/√eps = 316 amplifies the rounding of the mean; n = 2 may come near.
    const double scale = std::max(1.0, static_cast<double>(stats.inverse_deviation));
    EXPECT_TRUE(AllClose(out, ToFloats(LayerNormReference(ToDoubles(x), gain, bias, eps)),
                         (64 + 4 * std::sqrt(static_cast<double>(n))) * kEps * scale, kNormRelative))
        << n;
    if (n == 1 || n > 600) continue;
    LayerNormBackward(x.data(), gain.data(), stats, dy.data(), dx.data(), n);
    Doubles want = Differences(ToDoubles(x),
                               [&](const Doubles& at) { return Inner(LayerNormReference(at, gain, bias, eps), dy); });
    for (double& v : want) v += 0.5;
    EXPECT_TRUE(AllClose(dx, ToFloats(want), kGradient * scale * scale, kGradient)) << n;
  }
}

TEST_P(Elementwise, SwiGluAndItsGradient) {
  for (const size_t n : OddSizes()) {
    const auto gate = Normals(n, 1, 3), up = Normals(n, 2), dy = Normals(n, 3);
    std::vector<float> out(n), d_gate(n), d_up(n);
    SwiGlu(gate.data(), up.data(), out.data(), n);
    SwiGluBackward(gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), n);
    Doubles want(n), want_gate(n), want_up(n);
    for (size_t i = 0; i < n; ++i) {
      const double z = static_cast<double>(gate[i]), u = static_cast<double>(up[i]), g = static_cast<double>(dy[i]);
      const double s = 1 / (1 + std::exp(-z));
      want[i] = SiluReference(z) * u;
      want_up[i] = g * SiluReference(z);
      want_gate[i] = g * u * (SiluReference(z + 1e-5) - SiluReference(z - 1e-5)) / 2e-5;
      EXPECT_NEAR(want_gate[i], g * u * s * (1 + z * (1 - s)), 1e-8);
    }
    // e^z in f32 carries |z|·eps: z reaches 12.
    EXPECT_TRUE(AllClose(out, ToFloats(want), 16 * kEps, 16 * kEps)) << n;
    EXPECT_TRUE(AllClose(d_up, ToFloats(want_up), 16 * kEps, 16 * kEps)) << n;
    EXPECT_TRUE(AllClose(d_gate, ToFloats(want_gate), 64 * kEps, 32 * kEps)) << n;
  }
}

TEST_P(Elementwise, SwiGluAtTheEnds) {
  const std::vector<float> gate{-1e4f, -200, -90, -0.0f, 90, 200, 1e4f}, up(7, 1);
  std::vector<float> out(7), d_gate(7), d_up(7);
  SwiGlu(gate.data(), up.data(), out.data(), 7);
  SwiGluBackward(gate.data(), up.data(), up.data(), d_gate.data(), d_up.data(), 7);
  // e^−88 is where the sigmoid stops falling: |z|·e^−88 is nothing in f32.
  EXPECT_TRUE(AllClose(out, std::vector<float>{0, 0, 0, 0, 90, 200, 1e4f}, 1e-30));
  EXPECT_TRUE(AllClose(d_gate, std::vector<float>{0, 0, 0, 0.5, 1, 1, 1}, 1e-30));
}

TEST_P(Elementwise, Gelu) {
  for (const size_t n : OddSizes()) {
    auto x = Normals(n, 1, 3);
    if (n > 8) x[1] = 30, x[2] = -30, x[3] = 1e30f, x[4] = -1e30f, x[5] = 0;
    std::vector<float> out(n);
    Gelu(x.data(), out.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(x[i]), want = 0.5 * v * std::erfc(-v / std::sqrt(2.0));
      ASSERT_TRUE(std::fabs(static_cast<double>(out[i]) - want) <= 3e-7 * std::fabs(v)) << v;
    }
    if (n == 0) continue;
    x[0] = std::nanf("");
    Gelu(x.data(), out.data(), n);
    EXPECT_TRUE(std::isnan(out[0]));
  }
}

TEST_P(Elementwise, GeluTanhAndItsGradient) {
  for (const size_t n : OddSizes()) {
    auto x = Normals(n, 1, 2);
    if (n > 8) x[1] = 30, x[2] = -30, x[3] = 1e4f, x[4] = -1e4f;
    const auto dy = Normals(n, 2);
    std::vector<float> out(n), dx(n);
    GeluTanh(x.data(), out.data(), n);
    GeluTanhBackward(x.data(), dy.data(), dx.data(), n);
    Doubles want(n), want_dx(n);
    for (size_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(x[i]);
      want[i] = GeluReference(v);
      want_dx[i] = static_cast<double>(dy[i]) * (GeluReference(v + 1e-5) - GeluReference(v - 1e-5)) / 2e-5;
    }
    // 1 + tanh cancels for negative x: an error of eps there is multiplied by x/2, |x| ≤ 8 where it counts.
    EXPECT_TRUE(AllClose(out, ToFloats(want), 16 * kEps, 8 * kEps)) << n;
    EXPECT_TRUE(AllClose(dx, ToFloats(want_dx), 64 * kEps, 16 * kEps)) << n;
  }
}

TEST_P(Elementwise, SoftmaxLogSumExpAndExpMinus) {
  for (const size_t n : OddSizes()) {
    for (const float scale : {1.0f, 0.125f}) {
      const auto x = Normals(n, 1, 20);
      const double s = static_cast<double>(scale);
      double top = -1e300, sum = 0;
      for (const float v : x) top = std::max(top, s * static_cast<double>(v));
      for (const float v : x) sum += std::exp(s * static_cast<double>(v) - top);
      Doubles want(n);
      for (size_t i = 0; i < n; ++i) want[i] = std::exp(s * static_cast<double>(x[i]) - top) / sum;
      std::vector<float> out(n), again(n);
      const float lse = Softmax(x.data(), scale, out.data(), n);
      // Exponents reach 150 below the top; their f32 rounding of 150·eps is the relative error of e^x.
      EXPECT_TRUE(AllClose(out, ToFloats(want), 1e-30, 300 * kEps)) << n;
      EXPECT_NEAR(static_cast<double>(lse), top + std::log(sum), 8 * kEps * (1 + std::fabs(top)));
      EXPECT_EQ(Largest(x.data(), n), *std::ranges::max_element(x));
      EXPECT_NEAR(ExpMinus(x.data(), scale, lse, again.data(), n), 1.0f, 600 * kEps);
      EXPECT_TRUE(AllClose(again, ToFloats(want), 1e-30, 600 * kEps)) << n;
      if (scale == 1.0f) {
        EXPECT_NEAR(static_cast<double>(LogSumExp(x.data(), n)), top + std::log(sum), 8 * kEps * (1 + std::fabs(top)));
      }
    }
  }
}

TEST_P(Elementwise, KlDivergence) {
  for (const size_t n : OddSizes()) {
    const auto p = Normals(n, 1, 4), noise = Normals(n, 2, 0.1f);
    auto q = p;
    for (size_t i = 0; i < n; ++i) q[i] += noise[i] + 3;  // a constant changes no distribution
    double sum_p = 0, sum_q = 0, want = 0;
    for (size_t i = 0; i < n; ++i)
      sum_p += std::exp(static_cast<double>(p[i])), sum_q += std::exp(static_cast<double>(q[i]));
    for (size_t i = 0; i < n; ++i) {
      const double log_p = static_cast<double>(p[i]) - std::log(sum_p),
                   log_q = static_cast<double>(q[i]) - std::log(sum_q);
      want += std::exp(log_p) * (log_p - log_q);
    }
    // Sums of up to 4,099 terms in f32: their relative error enters through the logarithm.
    EXPECT_NEAR(KlDivergence(p.data(), q.data(), n), want, 64 * kEps) << n;
    EXPECT_EQ(KlDivergence(p.data(), p.data(), n), 0) << n;
    q[n / 2] = kNan;
    EXPECT_TRUE(std::isnan(KlDivergence(p.data(), q.data(), n))) << n;
  }
}

TEST_P(Elementwise, ArgMaxIsTheFirstLargestOrTheFirstNan) {
  for (const size_t n : OddSizes()) {
    for (const size_t at : {size_t{0}, n / 3, n / 2, n - 1}) {
      auto x = Normals(n, 1);
      x[at] = 9;
      EXPECT_EQ(ArgMax(x.data(), n), at) << n;
      x[n - 1] = 9;
      EXPECT_EQ(ArgMax(x.data(), n), at) << "of equals the first, " << n;
      const auto largest = std::vector<float>(n, -std::numeric_limits<float>::infinity());
      EXPECT_EQ(ArgMax(largest.data(), n), 0u);
      x[at] = kNan;
      EXPECT_EQ(ArgMax(x.data(), n), at) << n;
    }
  }
}

TEST_P(Elementwise, NanIsNotSwallowed) {
  for (const size_t n : OddSizes()) {
    for (const size_t at : {size_t{0}, n / 2, n - 1}) {
      auto x = Normals(n, 1);
      x[at] = kNan;
      const auto ones = std::vector<float>(n, 1.0f);
      std::vector<float> out(n);
      EXPECT_TRUE(std::isnan(Softmax(x.data(), 1, out.data(), n))) << n;
      EXPECT_TRUE(std::isnan(out[at])) << n;
      EXPECT_TRUE(std::isnan(LogSumExp(x.data(), n))) << n;
      SwiGlu(x.data(), ones.data(), out.data(), n);
      EXPECT_TRUE(std::isnan(out[at])) << n;
      GeluTanh(x.data(), out.data(), n);
      EXPECT_TRUE(std::isnan(out[at])) << n;
      RmsNorm(x.data(), ones.data(), 1e-5f, out.data(), n);
      EXPECT_TRUE(std::isnan(out[at])) << n;
      EXPECT_TRUE(std::isnan(SumOfSquares(x.data(), n))) << n;
    }
  }
}

TEST_P(Elementwise, RotateTurnsHalvesAndBack) {
  for (size_t dim = 2; dim <= 130; dim += 2) {
    const auto head = Normals(dim, 1), angles = Normals(dim / 2, 2, 3);
    std::vector<float> cosine(dim / 2), sine(dim / 2), want(dim);
    for (size_t i = 0; i < dim / 2; ++i) {
      cosine[i] = std::cos(angles[i]);
      sine[i] = std::sin(angles[i]);
      const double a = static_cast<double>(head[i]), b = static_cast<double>(head[dim / 2 + i]);
      const double c = static_cast<double>(cosine[i]), s = static_cast<double>(sine[i]);
      want[i] = static_cast<float>(a * c - b * s);
      want[dim / 2 + i] = static_cast<float>(b * c + a * s);
    }
    auto turned = head;
    Rotate(turned.data(), cosine.data(), sine.data(), 1, dim);
    EXPECT_TRUE(AllClose(turned, want, 8 * kEps)) << dim;  // three roundings of values up to 4
    Rotate(turned.data(), cosine.data(), sine.data(), -1, dim);
    EXPECT_TRUE(AllClose(turned, head, 16 * kEps)) << dim;
  }
}

TEST_P(Elementwise, SumsAndProducts) {
  for (const size_t n : OddSizes()) {
    const auto a = Normals(n, 1), b = Normals(n, 2);
    double dot = 0, size = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) {
      const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
      dot += product;
      size += std::fabs(product);
      squares += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    }
    EXPECT_NEAR(static_cast<double>(Dot(a.data(), b.data(), n)), dot, 16 * kEps * size) << n;
    EXPECT_NEAR(SumOfSquares(a.data(), n), squares, 1e-12 * squares) << n;
    auto sum = b, plain = b;
    std::vector<float> want(n), want_plain(n);
    for (size_t i = 0; i < n; ++i) {
      want[i] = static_cast<float>(static_cast<double>(b[i]) + 0.3 * static_cast<double>(a[i]));
      want_plain[i] = a[i] + b[i];
    }
    AddScaled(a.data(), 0.3f, sum.data(), n);
    EXPECT_TRUE(AllClose(sum, want, 4 * kEps, 4 * kEps)) << n;
    Add(a.data(), plain.data(), n);
    EXPECT_TRUE(AllClose(plain, want_plain, 0)) << n;
  }
}

TEST_P(Elementwise, AdamWFollowsItsPaper) {
  const AdamWStep base{.beta1 = 0.9,
                       .beta2 = 0.999,
                       .learning_rate = 0.01f,
                       .epsilon = 1e-8f,
                       .weight_decay = 0.1f,
                       .correction1 = 0,
                       .correction2 = 0,
                       .gradient_scale = 0.5f};
  for (const size_t n : OddSizes()) {
    auto weight = Normals(n, 1);
    std::vector<float> m(n), v(n);
    Doubles w2 = ToDoubles(weight), m2(n), v2(n);
    for (int t = 1; t <= 5; ++t) {
      AdamWStep step = base;
      step.correction1 = static_cast<float>(1 - std::pow(0.9, t));
      step.correction2 = static_cast<float>(1 - std::pow(0.999, t));
      const auto gradient = Normals(n, 10 + static_cast<uint64_t>(t));
      AdamW(step, gradient.data(), weight.data(), m.data(), v.data(), n);
      for (size_t i = 0; i < n; ++i) {
        const double g = 0.5 * static_cast<double>(gradient[i]);
        m2[i] = 0.9 * m2[i] + 0.1 * g;
        v2[i] = 0.999 * v2[i] + 0.001 * g * g;
        w2[i] -= 0.01 * 0.1 * w2[i];
        w2[i] -= 0.01 * (m2[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v2[i] / (1 - std::pow(0.999, t))) + 1e-8);
      }
    }
    EXPECT_TRUE(AllClose(m, ToFloats(m2), 8 * kEps, 16 * kEps)) << n;
    EXPECT_TRUE(AllClose(v, ToFloats(v2), 1e-10, 16 * kEps)) << n;
    EXPECT_TRUE(AllClose(weight, ToFloats(w2), 8 * kEps, 8 * kEps)) << n;  // five additions to values up to 4
  }
}

}  // namespace
}  // namespace qad

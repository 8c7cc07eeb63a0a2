#include "quantize/gptq.h"

#include <omp.h>

#include <numeric>

#include "base/error.h"
#include "base/half.h"
#include "base/random.h"
#include "base/testing.h"
#include "kernels/targets_testing.h"
#include "quantize/awq.h"
#include "quantize/ggml_grid.h"

namespace qad {
namespace {

constexpr size_t kRows = 24, kCols = 128, kSamplesPerInput = 3;

// Inputs that are correlated and of very different sizes, as activations are.
struct Problem {
  size_t samples;
  std::vector<float> inputs, gram, weights;

  explicit Problem(uint64_t seed, size_t cols = kCols) : samples(kSamplesPerInput * cols) {
    Random random(seed);
    std::vector<float> sizes(cols);
    for (float& size : sizes) size = static_cast<float>(std::exp(random.Normal()));
    for (size_t s = 0; s < samples; ++s) {
      const double common = random.Normal();
      for (size_t i = 0; i < cols; ++i)
        inputs.push_back(sizes[i] * static_cast<float>(random.Normal() + (i % 3 == 0 ? 2 * common : 0)));
    }
    Context exact(Numerics::kExact);
    gram = GramOf({inputs.data(), samples, cols}, exact);
    for (size_t i = 0; i < kRows * cols; ++i) weights.push_back(static_cast<float>(0.1 * random.Normal()));
  }

  // What the outputs change by, squared and summed, from the inputs themselves.
  double Change(const std::vector<float>& other, size_t cols = kCols) const {
    double sum = 0;
    for (size_t s = 0; s < samples; ++s)
      for (size_t r = 0; r < kRows; ++r) {
        double y = 0;
        for (size_t i = 0; i < cols; ++i)
          y += (static_cast<double>(weights[r * cols + i]) - static_cast<double>(other[r * cols + i])) *
               static_cast<double>(inputs[s * cols + i]);
        sum += y * y;
      }
    return sum;
  }
};

std::vector<float> Values(const GroupCodes& codes) {
  std::vector<float> out;
  for (size_t r = 0; r < codes.rows; ++r)
    for (size_t c = 0; c < codes.cols; ++c) out.push_back(codes.Value(r, c));
  return out;
}

TEST(Hessian, GramIsTheSumOfProducts) {
  const Problem problem(1, 20);
  for (size_t i = 0; i < 20; ++i)
    for (size_t j = 0; j < 20; ++j) {
      double sum = 0;
      for (size_t s = 0; s < problem.samples; ++s)
        sum += static_cast<double>(problem.inputs[s * 20 + i]) * static_cast<double>(problem.inputs[s * 20 + j]);
      EXPECT_NEAR(problem.gram[i * 20 + j], sum, 1e-4 * std::fabs(sum) + 0.02);
    }
  const std::vector<double> squares = SumsOfSquares({problem.inputs.data(), problem.samples, 20});
  for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(squares[i], problem.gram[i * 20 + i], 1e-4 * squares[i]);
}

// Uᵀ U (H + λ I) = 1, in the order that was asked for.
TEST(Hessian, FactorIsOfTheInverse) {
  const size_t n = 40;
  const Problem problem(2, n);
  for (const bool by_moment : {false, true}) {
    const Feedback feedback = MakeFeedback(problem.gram, n, 0.01, by_moment, "test");
    EXPECT_EQ(feedback.damping, 0.01);
    ASSERT_EQ(feedback.order.size(), by_moment ? n : 0);
    double mean = 0;
    for (size_t i = 0; i < n; ++i) mean += static_cast<double>(problem.gram[i * n + i]) / n;
    const auto at = [&](size_t i) { return by_moment ? feedback.order[i] : i; };
    for (size_t i = 0; i < n; ++i) {
      if (by_moment && i > 0) {
        EXPECT_GE(problem.gram[at(i - 1) * n + at(i - 1)], problem.gram[at(i) * n + at(i)]);
      }
      for (size_t j = 0; j < n; ++j) {
        double sum = 0;
        for (size_t k = 0; k < n; ++k) {
          double inverse = 0;
          for (size_t m = 0; m <= std::min(i, k); ++m)
            inverse += static_cast<double>(feedback.upper[m * n + i]) * static_cast<double>(feedback.upper[m * n + k]);
          sum += inverse * (static_cast<double>(problem.gram[at(k) * n + at(j)]) + (k == j ? 0.01 * mean : 0));
        }
        EXPECT_NEAR(sum, i == j ? 1 : 0, 2e-3) << i << " " << j;
      }
    }
  }
}

TEST(Hessian, FactorDoesNotDependOnThreads) {
  const size_t n = 300;
  const Problem problem(8, n);
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    std::vector<Feedback> feedbacks;
    for (const int threads : {1, 3}) {
      Context context(numerics, threads);
      std::vector<float> gram = GramOf({problem.inputs.data(), problem.samples, n}, context);
      feedbacks.push_back(MakeFeedback(std::move(gram), n, 0.01, false, "test"));
      EXPECT_EQ(omp_get_max_threads(), threads);
    }
    EXPECT_EQ(feedbacks[0].gram, feedbacks[1].gram);
    EXPECT_EQ(feedbacks[0].upper, feedbacks[1].upper);
  }
  omp_set_num_threads(omp_get_num_procs());
}

// Exactly the second moments of rounded inputs, but for sums in f32; rows and columns that fill no tile included.
TEST(Hessian, FastModeRoundsInputsAlone) {
  Context exact(Numerics::kExact), fast(Numerics::kFast);
  for (const auto& [rows, width] : {std::pair<size_t, size_t>{2500, 130}, {1, 5}, {33, 96}, {1024, 17}}) {
    const std::vector<float> inputs = Normals(rows * width, 4);
    std::vector<float> rounded = inputs;
    if (fast.own_bf16())
      for (float& x : rounded) x = BF16ToFloat(FloatToBF16(x));
    const std::vector<float> want = GramOf({rounded.data(), rows, width}, exact);
    const std::vector<float> got = GramOf({inputs.data(), rows, width}, fast);
    // Both round each partial sum of products of normals; a walk of √rows of them, to be safe on both sides.
    const double tolerance = 8 * 0x1p-24 * static_cast<double>(rows) * (1 + std::sqrt(static_cast<double>(rows)) / 8);
    EXPECT_TRUE(AllClose(got, want, tolerance)) << rows << " × " << width;
  }
}

TEST(Hessian, DeadInputsAndDegenerateMomentsAreDampedAndNaNRefused) {
  const size_t n = 16;
  std::vector<float> gram(n * n, 1.0f);  // rank one
  for (size_t i = 0; i < n; ++i) gram[3 * n + i] = gram[i * n + 3] = 0;
  const Feedback feedback = MakeFeedback(gram, n, 1e-9, false, "test");
  EXPECT_GT(feedback.damping, 1e-9);
  for (const float value : feedback.upper) EXPECT_TRUE(std::isfinite(value));
  EXPECT_NO_THROW((void)MakeFeedback(std::vector<float>(n * n), n, 0.01, false, "test"));
  gram[5 * n + 5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW((void)MakeFeedback(gram, n, 0.01, false, "test"), Error);
  std::vector<float> negative(n * n);
  for (size_t i = 0; i < n; ++i) negative[i * n + i] = i == 0 ? -100.0f : 1.0f;
  EXPECT_THROW((void)MakeFeedback(negative, n, 0.01, false, "test"), Error);
}

struct Case {
  int bits;
  size_t group;
  bool symmetric, by_moment;
  size_t cols = 128;  // more than errors are kept back for
};

// Codes stand for the weights that are left; feedback changes the outputs less than rounding alone; and what it reports
// is what the damped moments say.
TEST(Gptq, FeedbackBeatsRounding) {
  for (const Case& c : {Case{4, 32, true, false}, Case{4, 64, false, false}, Case{4, 0, true, true},
                        Case{3, 32, false, true}, Case{2, 32, false, true}, Case{8, 128, true, false},
                        Case{4, 64, true, false, 640}, Case{4, 128, false, true, 640}, Case{4, 0, true, false, 576}}) {
    const size_t cols = c.cols;
    const Problem problem(3, cols);
    const GroupOptions options{.bits = c.bits, .group_size = c.group, .symmetric = c.symmetric};
    std::vector<float> solved = problem.weights, rounded = problem.weights, moments(cols);
    for (size_t i = 0; i < cols; ++i) moments[i] = problem.gram[i * cols + i];
    GroupCodes codes, plain;
    const Feedback feedback = MakeFeedback(problem.gram, cols, 0.01, c.by_moment, "test");
    const SolveError error = SolveGroups(solved, kRows, feedback, options, &codes);
    RoundGroups(rounded, kRows, cols, moments, options, &plain);
    EXPECT_TRUE(AllClose(solved, Values(codes), 1e-6));
    EXPECT_TRUE(AllClose(rounded, Values(plain), 1e-6));
    const double change = problem.Change(solved, cols), without = problem.Change(rounded, cols);
    EXPECT_LT(change, 0.85 * without) << c.bits << " " << c.group;
    EXPECT_GE(error.change, change * 0.99);  // damping counts too
    EXPECT_LE(error.change, change * 2 + 1e-3);
    EXPECT_GT(error.size, 0);
    for (const uint8_t zero : codes.zeros) EXPECT_TRUE(!c.symmetric || zero == 1 << (c.bits - 1));
    for (const uint8_t code : codes.codes) EXPECT_LT(code, 1 << c.bits);
  }
}

TEST(Gptq, OntoGgmlBlocks) {
  for (const auto& [format, by_moment] :
       {std::pair{FormatId::kQ4_0, false}, std::pair{FormatId::kQ4_0, true}, std::pair{FormatId::kQ4_K, false},
        std::pair{FormatId::kQ4_K, true}, std::pair{FormatId::kQ3_K, true}, std::pair{FormatId::kIQ4_NL, true}}) {
    const size_t cols = 512;
    const Problem problem(4, cols);
    const Format& codec = GetFormat(format);
    std::vector<float> solved = problem.weights, decoded(kRows * cols), moments(cols);
    std::vector<std::byte> bytes(kRows * codec.RowBytes(cols)), plain(bytes.size());
    const Feedback feedback = MakeFeedback(problem.gram, cols, 0.05, by_moment, "test");
    std::vector<double> changes(kRows);
    const SolveError error = SolveGgml(solved, kRows, feedback, format, bytes, changes);
    EXPECT_NEAR(error.change, std::accumulate(changes.begin(), changes.end(), 0.0), 1e-6 * error.change);
    EXPECT_GE(error.change, 0.99 * problem.Change(solved, cols));
    for (size_t r = 0; r < kRows; ++r)
      codec.decode_row(bytes.data() + r * codec.RowBytes(cols), decoded.data() + r * cols, cols);
    EXPECT_TRUE(AllClose(solved, decoded, 1e-6, 1e-6)) << codec.name;
    for (size_t i = 0; i < cols; ++i) moments[i] = problem.gram[i * cols + i];
    std::vector<float> rounded(kRows * cols);
    for (size_t r = 0; r < kRows; ++r) {
      (void)EncodeGgmlRow(format, problem.weights.data() + r * cols, moments.data(), cols, plain.data());
      codec.decode_row(plain.data(), rounded.data() + r * cols, cols);
    }
    EXPECT_LT(problem.Change(solved, cols), 0.8 * problem.Change(rounded, cols)) << codec.name;
  }
}

TEST(Gptq, GroupsOfOneValue) {
  const std::vector<float> w(32, 1.0f);
  for (const float value : {0.0f, 0.5f, -0.5f})
    for (const bool symmetric : {true, false}) {
      const std::vector<float> x(32, value);
      const GroupOptions options{.bits = 4, .group_size = 32, .symmetric = symmetric};
      const GroupFit fit = FitGroup(x.data(), w.data(), 32, options);
      ASSERT_GT(fit.scale, 0);
      const float code = std::nearbyint(std::clamp(value / fit.scale + static_cast<float>(fit.zero), 0.0f, 15.0f));
      EXPECT_NEAR(fit.scale * (code - static_cast<float>(fit.zero)), value, 1e-3);
    }
}

// Scaling never loses against no scaling on what it looks at, and helps where few inputs carry the activations.
TEST(Awq, ScalesHelpWhereActivationsDiffer) {
  const Problem problem(6);
  const GroupOptions options{.bits = 3, .group_size = 64, .symmetric = false};
  const Reader reader{problem.weights, kRows};
  const std::vector<float> factors = SearchScales({&reader, 1}, kCols, problem.gram, {}, options);
  std::vector<float> moments(kCols), plain = problem.weights, scaled = problem.weights;
  for (size_t i = 0; i < kCols; ++i) moments[i] = problem.gram[i * kCols + i];
  GroupCodes codes;
  RoundGroups(plain, kRows, kCols, moments, options, &codes);
  for (size_t i = 0; i < kCols; ++i) moments[i] /= factors[i] * factors[i];
  ScaleColumns(scaled, factors);
  RoundGroups(scaled, kRows, kCols, moments, options, &codes);
  for (size_t r = 0; r < kRows; ++r)
    for (size_t i = 0; i < kCols; ++i) scaled[r * kCols + i] /= factors[i];
  EXPECT_LT(problem.Change(scaled), problem.Change(plain));
}

TEST(Awq, SharedFactorsAreEqual) {
  const Problem problem(7);
  std::vector<size_t> shares(kCols);
  for (size_t i = 0; i < kCols; ++i) shares[i] = i % 32;
  const Reader reader{problem.weights, kRows};
  const std::vector<float> factors = SearchScales({&reader, 1}, kCols, problem.gram, shares, {});
  for (size_t i = 32; i < kCols; ++i) EXPECT_EQ(factors[i], factors[i % 32]);
}

}  // namespace
}  // namespace qad

#include "ops/matmul.h"

#include "base/half.h"
#include "base/testing.h"
#include "kernels/targets_testing.h"
#include "ops/context.h"

namespace qad {
namespace {

struct Shape {
  size_t m, n, k;
};
constexpr Shape kShapes[] = {{1, 1, 1},   {2, 3, 5},    {7, 1, 33},   {16, 33, 31},  {17, 64, 65},
                             {33, 48, 1}, {64, 96, 64}, {9, 200, 31}, {128, 65, 577}};

struct Case {
  MatmulType type;
  bool transposed, accumulate;
};

std::vector<float> Product(Context& context, const Shape& s, const Case& c, std::vector<float>* want, double* size) {
  const size_t lda = s.k + 2, ldb = (c.transposed ? s.k : s.n) + 1, ldc = s.n + 3;
  auto a = Normals(s.m * lda, 1), b = Normals((c.transposed ? s.n : s.k) * ldb, 2);
  std::vector<uint16_t> a16(a.size()), b16(b.size());
  if (c.type == MatmulType::kBF16) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = BF16ToFloat(a16[i] = FloatToBF16(a[i]));
    for (size_t i = 0; i < b.size(); ++i) b[i] = BF16ToFloat(b16[i] = FloatToBF16(b[i]));
  }
  std::vector<float> out(s.m * ldc, 0.5f);
  *want = out;
  *size = 1;
  for (size_t i = 0; i < s.m; ++i)
    for (size_t j = 0; j < s.n; ++j) {
      double sum = c.accumulate ? 0.5 : 0, terms = 0;
      for (size_t k = 0; k < s.k; ++k) {
        const double term =
            static_cast<double>(a[i * lda + k]) * static_cast<double>(c.transposed ? b[j * ldb + k] : b[k * ldb + j]);
        sum += term;
        terms += std::fabs(term);
      }
      (*want)[i * ldc + j] = static_cast<float>(sum);
      *size = std::max(*size, terms);
    }
  const bool bf16 = c.type == MatmulType::kBF16;
  context.matmul().Run({.type = c.type,
                        .m = s.m,
                        .n = s.n,
                        .k = s.k,
                        .a = bf16 ? static_cast<const void*>(a16.data()) : a.data(),
                        .lda = lda,
                        .b = bf16 ? static_cast<const void*>(b16.data()) : b.data(),
                        .ldb = ldb,
                        .b_transposed = c.transposed,
                        .c = out.data(),
                        .ldc = ldc,
                        .accumulate = c.accumulate});
  return out;
}

TEST(Matmul, EqualsTheReferenceAndIsEqualForAnyThreads) {
  for (const Shape& shape : kShapes) {
    for (const MatmulType type : {MatmulType::kF32, MatmulType::kBF16}) {
      for (const bool transposed : {true, false}) {
        for (const bool accumulate : {false, true}) {
          const Case c{type, transposed, accumulate};
          std::vector<float> want, first;
          double size = 0;
          for (const int threads : {1, 2, 3}) {
            Context context(Numerics::kExact, threads);
            if (type == MatmulType::kBF16 && !context.has_bf16) continue;
            const auto got = Product(context, shape, c, &want, &size);
            // Products of bf16 are exact in f32; sums of k terms round each partial sum: √k of them count, 4 to be
            // safe.
            const double tolerance = 4 * 0x1p-24 * size * (1 + std::sqrt(static_cast<double>(shape.k)) / 8);
            EXPECT_TRUE(AllClose(got, want, tolerance))
                << shape.m << " " << shape.n << " " << shape.k << " " << transposed << accumulate;
            if (first.empty()) first = got;
            EXPECT_EQ(got, first) << threads << " threads";
          }
        }
      }
    }
  }
}

TEST(Matmul, NothingIsDoneForNoRows) {
  Context context;
  float c = 7;
  context.matmul().Run({.m = 0, .n = 1, .k = 1, .c = &c, .ldc = 1});
  EXPECT_EQ(c, 7);
}

// The cache of primitives forgets when it is full, and goes on.
TEST(Matmul, SurvivesMoreShapesThanItRemembers) {
  Context context;
  const std::vector<float> ones(700, 1.0f);
  for (size_t k = 1; k <= 600; ++k) {
    float c = 0;
    context.matmul().Run(
        {.m = 1, .n = 1, .k = k, .a = ones.data(), .lda = k, .b = ones.data(), .ldb = k, .c = &c, .ldc = 1});
    ASSERT_EQ(c, static_cast<float>(k));
  }
}

}  // namespace
}  // namespace qad

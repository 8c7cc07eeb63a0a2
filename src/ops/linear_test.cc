#include "base/testing.h"
#include "kernels/panels_bf16.h"
#include "ops/linear_testing.h"

namespace qad {
namespace {

struct Case {
  std::vector<Layout> layouts;
  size_t in, rows;
  bool bias, adapted;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Layout layout : kAllLayouts) {
    const bool super = layout >= Layout::kInt6Super;
    cases.push_back({{layout}, super ? size_t{256} : 64, 33, false, false});
    cases.push_back({{layout}, super ? size_t{512} : 96, 17, true, true});
  }
  cases.push_back({{Layout::kF32, Layout::kBF16Tile, Layout::kInt8Row}, 37, 9, true, true});
  cases.push_back({{Layout::kInt4Block, Layout::kInt8Block, Layout::kF16}, 64, 21, true, true});
  cases.push_back({{Layout::kF32}, 1, 1, true, true});
  cases.push_back({{Layout::kBF16Tile}, 50, 600, false, false});  // more rows than a panel
  cases.push_back({{Layout::kInt8Row}, 50, 600, true, true});
  cases.push_back({{Layout::kInt4Block}, 64, 600, false, false});
  for (const Layout layout : {Layout::kInt8Row, Layout::kBF16Tile})  // more than backward takes at once
    cases.push_back({{layout}, 34, 2100, false, false});
  return cases;
}

std::vector<float> Strided(const Doubles& y, size_t out, double more) {
  std::vector<float> rows;
  for (size_t i = 0; i < y.size(); ++i) {
    rows.push_back(static_cast<float>(y[i] + more));
    if ((i + 1) % out == 0) rows.insert(rows.end(), {0.5f, 0.5f});
  }
  return rows;
}

TEST(Linear, ForwardEqualsTheReferenceForAnyThreads) {
  for (const Case& c : Cases()) {
    const Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
    for (const size_t m : {1, 2, 5, 8, 9, 16, 33}) {
      for (const bool accumulate : {false, true}) {
        const Dropout dropout{.p = m % 2 == 0 ? 0.3f : 0.0f, .seed = 4, .stream = m};
        const auto x = Normals(m * c.in, m);
        double size = 0;
        const Doubles want = layer.Forward(Doubles(x.begin(), x.end()), m, dropout, &size);
        std::vector<float> first, tape;
        for (const int threads : {1, 2, 3}) {
          Context context(Numerics::kExact, threads);
          const auto got = RunForward(context, layer, x, m, accumulate, dropout, &tape);
          // Partial sums below `size`: `in` roundings of eps·partial, which grow as their root; adapters add some.
          const double rounding = 0x1p-24 * (32 + size * (2 + std::sqrt(static_cast<double>(c.in)) / 2));
          EXPECT_TRUE(AllClose(got, Strided(want, layer.linear.out, accumulate ? 0.5 : 0), rounding))
              << LayoutName(c.layouts[0]) << " " << c.in << " " << m;
          if (first.empty()) first = got;
          EXPECT_EQ(got, first) << LayoutName(c.layouts[0]) << " " << c.in << "x" << c.rows << " " << m << ": "
                                << threads << " threads";
        }
      }
    }
  }
}

TEST(Linear, FastKeepsItsErrorBoundForAnyThreads) {
  for (const Case& c : Cases()) {
    if (c.in < 32) continue;  // a mean square of one value says nothing
    const Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
    // bf16 weights and activations: a relative variance of 2^-18/3 each, 2.5e-6. int8 activations: steps of max/127
    // with max ≈ 2.5 deviations, (2.5/127)²/12 = 3.2e-5. Where offsets cancel part of a product, its error stays.
    const bool integer = std::ranges::any_of(c.layouts, IsInteger);
    const double tolerance = integer ? 2e-4 : 1e-5;
    for (const size_t m : {1, 8, 9, 16, 17, 33}) {
      for (const bool accumulate : {false, true}) {
        const auto x = Normals(m * c.in, m);
        const Doubles want = layer.Forward(Doubles(x.begin(), x.end()), m, {});
        std::vector<float> first, tape;
        for (const int threads : {1, 2, 3}) {
          Context context(Numerics::kFast, threads);
          const auto got = RunForward(context, layer, x, m, accumulate, {}, &tape);
          EXPECT_TRUE(NormalizedMeanSquaredError(got, Strided(want, layer.linear.out, accumulate ? 0.5 : 0)) <=
                      tolerance)
              << LayoutName(c.layouts[0]) << " " << m;
          if (first.empty()) first = got;
          EXPECT_EQ(got, first) << LayoutName(c.layouts[0]) << " " << c.in << "x" << c.rows << " " << m << ": "
                                << threads << " threads";
        }
      }
    }
  }
}

// As training multiplies: quantized weights are decoded, and activations never int8.
TEST(Linear, WithoutInt8ActivationsErrorsAreThoseOfBF16) {
  for (const Case& c : Cases()) {
    if (c.in < 32 || !IsInteger(c.layouts[0])) continue;
    const Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
    for (const size_t m : {1, 8, 9, 16, 33}) {
      const auto x = Normals(m * c.in, m);
      const Doubles want = layer.Forward(Doubles(x.begin(), x.end()), m, {});
      Context context(Numerics::kFast, 2);
      context.int8_activations = false;
      std::vector<float> tape;
      const auto got = RunForward(context, layer, x, m, false, {}, &tape);
      // As above, 5e-6 of two roundings to bf16, and more where offsets cancel; int8 activations cost 3.2e-5 alone.
      EXPECT_TRUE(NormalizedMeanSquaredError(got, Strided(want, layer.linear.out, 0)) <= 2e-5)
          << LayoutName(c.layouts[0]) << " " << m;
    }
  }
}

// y is linear in x, in A and in B: a difference of any width is the exact slope.
TEST(Linear, BackwardIsTheSlopeOfForward) {
  for (const Case& c : Cases()) {
    if (c.rows > 100) continue;
    for (const size_t m : {1, 3, 17}) {
      for (const float p : {0.0f, 0.4f}) {
        const Dropout dropout{.p = p, .seed = 8, .stream = 1};
        const auto x = Normals(m * c.in, m);
        Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
        const auto dy = Normals(m * layer.linear.out, 200 + m);
        const auto loss = [&](const Doubles& at) {
          const Doubles y = layer.Forward(at, m, dropout);
          double sum = 0;
          for (size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(dy[i]);
          return sum;
        };
        Context context(Numerics::kExact, 2);
        std::vector<float> tape;
        RunForward(context, layer, x, m, false, dropout, &tape);
        std::vector<float> dx(m * (c.in + 1), 0.25f);
        LinearBackward(context, layer.linear, x.data(), c.in, tape.data(), dy.data(), m, layer.linear.out, dx.data(),
                       c.in + 1, dropout);
        const Doubles exact(x.begin(), x.end());
        const double base = loss(exact);
        for (size_t i = 0; i < exact.size(); i += 1 + exact.size() / 40) {
          Doubles moved = exact;
          moved[i] += 1;
          const double want = loss(moved) - base + 0.25;
          const double got = static_cast<double>(dx[i / c.in * (c.in + 1) + i % c.in]);
          ASSERT_TRUE(std::fabs(got - want) <= 2e-5 * (1 + std::fabs(want)))
              << LayoutName(c.layouts[0]) << " " << got << " " << want;
        }
        EXPECT_EQ(dx[c.in], 0.25f) << "beyond the row";
        for (size_t k = 0; k < layer.a.size(); ++k)
          for (const auto& [values, gradient] :
               {std::pair(&layer.a[k], &layer.da[k]), std::pair(&layer.b[k], &layer.db[k])})
            for (size_t i = 0; i < values->size(); i += 1 + values->size() / 20) {
              const float kept = (*values)[i];
              (*values)[i] = kept + 1;
              const double width = static_cast<double>((*values)[i]) - static_cast<double>(kept);
              const double want = (loss(exact) - base) / width + 0.25;
              (*values)[i] = kept;
              ASSERT_TRUE(std::fabs(static_cast<double>((*gradient)[i]) - want) <= 5e-5 * (1 + std::fabs(want)))
                  << k << " " << i;
            }
      }
    }
  }
}

// bf16 rounds gradients and weights by 2^-9 each; the rest is f32.
TEST(Linear, FastBackwardKeepsTheBoundOfItsRounding) {
  for (const Case& c : Cases()) {
    if (c.adapted) continue;
    for (const size_t m : {1, 17}) {
      const Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
      const size_t out = layer.linear.out, ldx = c.in + 1;
      const auto dy = Normals(m * out, 300 + m), x = Normals(m * c.in, m);
      std::vector<float> dx(m * ldx, 0.25f);
      Context context(Numerics::kFast, 2);
      LinearBackward(context, layer.linear, x.data(), c.in, nullptr, dy.data(), m, out, dx.data(), ldx);
      for (size_t t = 0; t < m; ++t) {
        Doubles sum(c.in), size(c.in);
        for (size_t r = 0; r < out; ++r) {
          const auto row = layer.parts[r / c.rows].Row(r % c.rows);
          for (size_t i = 0; i < c.in; ++i) {
            const double term = static_cast<double>(row[i]) * static_cast<double>(dy[t * out + r]);
            sum[i] += term;
            size[i] += std::fabs(term);
          }
        }
        for (size_t i = 0; i < c.in; ++i)
          ASSERT_TRUE(std::fabs(static_cast<double>(dx[t * ldx + i]) - sum[i] - 0.25) <= 0x1.1p-8 * size[i] + 1e-6)
              << LayoutName(c.layouts[0]) << " " << c.rows << " rows, at " << t << " " << i;
        ASSERT_EQ(dx[t * ldx + c.in], 0.25f) << "beyond the row";
      }
    }
  }
}

// Products of f32 in three of bf16 are as near to f64 as sums in f32 are, of rows and widths that fill no tile as well;
// what of the weights and the activations does not fit into 16 bits of mantissa is all that is lost.
TEST(Linear, ProductsInPartsAreNearlyThoseOfF32) {
  if (!HasBF16Tiles() || !Context(Numerics::kExact, 1).has_bf16) GTEST_SKIP() << "here f32 is multiplied as f32";
  for (const size_t in : {33, 576, 1536})
    for (const size_t m : {9, 64, 77}) {
      Layer layer({Layout::kF32, Layout::kF32}, in, 75, true, false);
      const auto x = Normals(m * in, 1);
      Context context(Numerics::kExact, 2);
      std::vector<float> tape;
      const auto whole = RunForward(context, layer, x, m, true, {}, &tape);
      context.f32_in_parts = true;
      const auto parts = RunForward(context, layer, x, m, true, {}, &tape);
      const double size = std::sqrt(static_cast<double>(in));  // of a sum of products of normals
      double worst = 0;
      for (size_t i = 0; i < whole.size(); ++i)
        worst =
            std::isfinite(parts[i]) ? std::max(worst, static_cast<double>(std::fabs(whole[i] - parts[i]))) : HUGE_VAL;
      EXPECT_LE(worst, 0x1p-15 * size) << in << " " << m;
      EXPECT_NE(whole, parts) << "they were not multiplied in parts";
      PreparedParts prepared;
      PrepareParts(context, layer.linear, prepared);
      ASSERT_GT(prepared.bytes, 0U);
      EXPECT_EQ(RunForward(context, layer, x, m, true, {}, &tape), parts) << "of weights taken apart once";
    }
}

// So is what goes back, of more outputs than are taken at a time as well.
TEST(Linear, BackwardInPartsIsNearlyThatOfF32) {
  if (!HasBF16Tiles() || !Context(Numerics::kExact, 1).has_bf16) GTEST_SKIP() << "here f32 is multiplied as f32";
  for (const auto& [in, rows] : {std::pair<size_t, size_t>{75, 33}, {576, 40}, {50, 2100}})
    for (const size_t m : {1, 16, 77}) {
      const Layer layer({Layout::kF32, Layout::kF32}, in, rows, false, false);
      const size_t out = layer.linear.out;
      const auto x = Normals(m * in, 1), dy = Normals(m * out, 2);
      Context context(Numerics::kExact, 2);
      const auto run = [&] {
        std::vector<float> dx(m * in, 0.25f);
        LinearBackward(context, layer.linear, x.data(), in, nullptr, dy.data(), m, out, dx.data(), in);
        return dx;
      };
      const std::vector<float> whole = run();
      context.f32_in_parts = true;
      const std::vector<float> parts = run();
      EXPECT_NE(whole, parts) << "they were not multiplied in parts";
      for (size_t i = 0; i < whole.size(); ++i)
        ASSERT_LE(std::fabs(static_cast<double>(whole[i]) - static_cast<double>(parts[i])),
                  0x1p-15 * std::sqrt(static_cast<double>(out)))
            << in << " " << rows << " " << m;
    }
}

// A batch of one is a part of any other: tiles of bf16 take the same sums however many rows there are.
TEST(Linear, FastTilesOfBF16DoNotDependOnTheBatch) {
  const Layer layer({Layout::kBF16Tile}, 576, 100, true, false);
  const auto x = Normals(40 * 576, 1);
  Context context(Numerics::kFast, 2);
  if (!context.own_bf16()) GTEST_SKIP() << "this CPU or build has no AVX-512 BF16";
  std::vector<float> all, one, tape;
  for (const size_t m : {1, 2, 17, 24, 25, 40}) {
    all = RunForward(context, layer, x, m, false, {}, &tape);
    one = RunForward(context, layer, x, 1, false, {}, &tape);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin())) << m << " rows";
  }
}

TEST(Linear, BackwardIsEqualForAnyThreads) {
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    std::vector<Case> cases = Cases();
    cases.push_back(
        {{Layout::kBF16Tile}, 576, 1536, false, true});  // large enough for every library to use its threads
    for (const Case& c : cases) {
      const size_t m = c.in == 576 ? 256 : 48;
      std::vector<float> first, first_a;
      const auto x = Normals(m * c.in, 1);
      for (const int threads : {1, 2, 3}) {
        Layer layer(c.layouts, c.in, c.rows, c.bias, c.adapted);
        const auto dy = Normals(m * layer.linear.out, 2);
        Context context(numerics, threads);
        std::vector<float> tape, dx(m * c.in);
        const Dropout dropout{.p = 0.1f, .seed = 1, .stream = 1};
        RunForward(context, layer, x, m, false, dropout, &tape);
        LinearBackward(context, layer.linear, x.data(), c.in, tape.data(), dy.data(), m, layer.linear.out, dx.data(),
                       c.in, dropout);
        if (first.empty()) first = dx;
        EXPECT_EQ(dx, first) << threads << " threads";
        if (!c.adapted) continue;
        if (first_a.empty()) first_a = layer.da[0];
        EXPECT_EQ(layer.da[0], first_a) << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace qad

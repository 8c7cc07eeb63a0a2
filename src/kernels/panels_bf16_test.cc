#include "kernels/panels_bf16.h"

#include <array>

#include "base/half.h"
#include "base/testing.h"
#include "kernels/matrix_testing.h"
#include "kernels/targets_testing.h"
#include "kernels/tiles_avx2.h"
#include "kernels/tiles_vnni.h"

namespace qad {
namespace {

class Panels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasBF16Dot()) GTEST_SKIP() << "this CPU or build has no AVX-512 BF16";
  }
};

constexpr size_t kRows = 37;  // two panels and a part of one

struct Decoded {
  std::vector<uint16_t> values;
  size_t each;
  explicit Decoded(const MatrixView& w) : Decoded(w, DecodeBF16Panel) {}
  // `decode` returns where the panel is, or nothing where it is always in its argument.
  template <typename Decode>
  Decoded(const MatrixView& w, const Decode& decode) : each(PanelValues(w.cols)) {
    values.assign(each * 3 + 1, 0x7fc1);
    for (size_t r = 0; r < w.rows; r += kTileRows) {
      uint16_t* mine = values.data() + r / kTileRows * each;
      const uint16_t* panel = mine;
      if constexpr (std::is_void_v<decltype(decode(w, r, mine))>)
        decode(w, r, mine);
      else
        panel = decode(w, r, mine);
      if (panel != mine) std::copy_n(panel, each, mine);
    }
  }
  uint16_t At(size_t row, size_t i) const {
    return values[row / kTileRows * each + i / 2 * 2 * kTileRows + row % kTileRows * 2 + i % 2];
  }
};

TEST(PanelsTarget, AForcedTargetHolds) {
  for (const std::string& target : SupportedTargets()) {
    ForceTarget(target);
    EXPECT_EQ(TargetIsAmx(), target == "AMX");
    EXPECT_TRUE(TargetIsAvx512() || !HasBF16Dot()) << target;
    EXPECT_TRUE(TargetIsAvx512() || !HasVnni()) << target;
    EXPECT_EQ(HasAvx2Tiles(), TargetIsAvx2()) << target;
  }
  ForceTarget("auto");
}

// Weights and what rounding them leaves, rounded in turn, are the weights but for 2⁻¹⁷ of them.
TEST_F(Panels, HoldWhatRoundingLeaves) {
  for (const size_t cols : WidthsOf(Layout::kF32)) {
    const RandomMatrix w(Layout::kF32, kRows, cols);
    const Decoded high(w.view()), rest(w.view(), DecodeBF16Rest);
    for (size_t r = 0; r < kRows; ++r)
      for (size_t i = 0; i < 2 * InputPairs(cols); ++i) {
        const float value = i < cols ? w.At(r, i) : 0;
        ASSERT_EQ(rest.At(r, i), FloatToBF16(value - BF16ToFloat(high.At(r, i)))) << cols << ", at " << r << " " << i;
        ASSERT_LE(std::fabs(value - BF16ToFloat(high.At(r, i)) - BF16ToFloat(rest.At(r, i))),
                  0x1p-17f * std::fabs(value));
      }
  }
}

// Of activations, too.
TEST_F(Panels, SplittingKeepsWhatRoundingLeaves) {
  for (const size_t n : {0, 1, 7, 16, 17, 255, 256, 1000}) {
    const std::vector<float> in = Normals(n, 5);
    std::vector<uint16_t> high(n + 1, 1), low(n + 1, 1);
    SplitToBF16(in.data(), high.data(), low.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(high[i], FloatToBF16(in[i])) << n << " " << i;
      ASSERT_EQ(low[i], FloatToBF16(in[i] - BF16ToFloat(high[i]))) << n << " " << i;
    }
    EXPECT_TRUE(high[n] == 1 && low[n] == 1) << "beyond the end";
  }
}

TEST_F(Panels, HoldTheRoundedWeights) {
  for (const Layout layout : kAllLayouts)
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, kRows, cols);
      const Decoded panels(w.view());
      for (size_t r = 0; r < kRows; ++r)
        for (size_t i = 0; i < 2 * InputPairs(cols); ++i) {
          const float value = layout == Layout::kInt8Row && i < cols ? static_cast<float>(w.Code(r, i)) : 0;
          const uint16_t want = FloatToBF16(layout == Layout::kInt8Row || i >= cols ? value : w.At(r, i));
          // Where zero is the code of a 4-bit block, its offset decides the sign: equal as numbers is enough.
          ASSERT_EQ(BF16ToFloat(panels.At(r, i)), BF16ToFloat(want))
              << LayoutName(layout) << " " << cols << " at " << r << " " << i;
        }
      for (size_t r = kRows; r < 3 * kTileRows; ++r)
        for (size_t i = 0; i < 2 * InputPairs(cols); ++i)
          ASSERT_EQ(BF16ToFloat(panels.At(r, i)), 0.0f) << LayoutName(layout) << " row " << r;
      ASSERT_EQ(panels.values.back(), 0x7fc1) << "written beyond the panels";
    }
}

TEST_F(Panels, OfColumnsHoldTheRoundedWeights) {
  for (const Layout layout : kAllLayouts)
    for (const size_t cols : WidthsOf(layout)) {
      for (const auto& [begin, end, height] : {std::array<size_t, 3>{0, 77, 77},
                                               {32, 64, 77},
                                               {64, 77, 77},
                                               {0, 1, 1},
                                               {0, 16, 16},
                                               {0, 17, 17},
                                               {32, 46, 46}}) {
        const RandomMatrix w(layout, height, cols);
        const size_t values = PanelValues(end - begin);
        std::vector<uint16_t> panel(values + 1, 0x7fc1);
        for (size_t column = 0; column < cols; column += kTileRows) {
          DecodeBF16ColumnPanel(w.view(), column, begin, end, panel.data());
          for (size_t k = 0; k < 2 * InputPairs(end - begin); ++k)
            for (size_t i = 0; i < kTileRows; ++i) {
              const bool inside = begin + k < end && column + i < cols;
              const float want = inside ? BF16ToFloat(FloatToBF16(w.At(begin + k, column + i))) : 0;
              ASSERT_EQ(BF16ToFloat(panel[k / 2 * 2 * kTileRows + 2 * i + k % 2]), want)
                  << LayoutName(layout) << " " << cols << " at " << begin + k << " " << column + i;
            }
          ASSERT_EQ(panel[values], 0x7fc1) << "written beyond the panel";
          if (layout != Layout::kF32) continue;
          DecodeBF16ColumnRest(w.view(), column, begin, end, panel.data());
          for (size_t k = 0; k < 2 * InputPairs(end - begin); ++k)
            for (size_t i = 0; i < kTileRows; ++i) {
              const bool inside = begin + k < end && column + i < cols;
              const float value = inside ? w.At(begin + k, column + i) : 0;
              const float rest = value - BF16ToFloat(FloatToBF16(value));
              ASSERT_EQ(BF16ToFloat(panel[k / 2 * 2 * kTileRows + 2 * i + k % 2]), BF16ToFloat(FloatToBF16(rest)))
                  << "rest at " << begin + k << " " << column + i;
            }
        }
      }
    }
}

TEST_F(Panels, TransposedLieAsActivations) {
  for (const size_t pairs : {1, 2, 15, 16, 17, 40}) {
    std::vector<uint16_t> panel(pairs * 2 * kTileRows);
    for (size_t i = 0; i < panel.size(); ++i) panel[i] = static_cast<uint16_t>(i);
    const size_t ld = 2 * pairs + 6;
    std::vector<uint16_t> rows(kTileRows * ld, 0xabcd);
    TransposePanel(panel.data(), pairs, rows.data(), ld);
    for (size_t r = 0; r < kTileRows; ++r)
      for (size_t i = 0; i < ld; ++i)
        ASSERT_EQ(rows[r * ld + i], i < 2 * pairs ? panel[i / 2 * 2 * kTileRows + 2 * r + i % 2] : 0xabcd)
            << pairs << " pairs, row " << r << " at " << i;
  }
}

TEST_F(Panels, InF32HoldTheWeights) {
  for (const Layout layout : {Layout::kF32, Layout::kF16, Layout::kBF16, Layout::kQ8_0, Layout::kQ4_0})
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, kRows, cols);
      std::vector<float> panel(cols * kTileRows + 1, 7);
      for (size_t row = 0; row < kRows; row += kTileRows) {
        DecodeF32Panel(w.view(), row, panel.data());
        for (size_t r = 0; r < kTileRows; ++r)
          for (size_t i = 0; i < cols; ++i)
            ASSERT_EQ(panel[i * kTileRows + r], row + r < kRows ? w.At(row + r, i) : 0) << LayoutName(layout) << cols;
        ASSERT_EQ(panel.back(), 7) << "written beyond the panel";
      }
    }
}

TEST_F(Panels, ProductsInF32EqualTheReference) {
  for (const size_t cols : WidthsOf(Layout::kF32)) {
    const RandomMatrix w(Layout::kF32, kRows, cols);
    std::vector<float> panels(3 * cols * kTileRows);
    for (size_t row = 0; row < kRows; row += kTileRows) DecodeF32Panel(w.view(), row, panels.data() + row * cols);
    for (const size_t count : {1, 2, 11, 12, 13, 24, 25, 40}) {
      const auto x = Normals(count * cols, 5);
      std::vector<float> y(count * (kRows + 1), 9);
      F32Product product{.x = x.data(),
                         .count = count,
                         .ldx = cols,
                         .words = cols,
                         .panels = panels.data(),
                         .outputs = kRows,
                         .y = y.data(),
                         .ldy = kRows + 1};
      for (const bool from_memory : {false, true}) {
        product.from_memory = from_memory;
        MultiplyPanels(product);
        for (size_t m = 0; m < count; ++m) {
          for (size_t r = 0; r < kRows; ++r) {
            const auto [dot, size] = w.Product(r, x.data() + m * cols);
            // `cols` roundings of partial sums below `size`, one after another: a random walk of as many steps.
            const double tolerance = 0x1p-24 * size * (2 + std::sqrt(static_cast<double>(cols)));
            ASSERT_TRUE(std::fabs(static_cast<double>(y[m * (kRows + 1) + r]) - dot) <= tolerance) << cols;
          }
          ASSERT_EQ(y[m * (kRows + 1) + kRows], 9);
        }
      }
    }
  }
}

// Activations that are bf16 numbers, so that only the sums are rounded.
std::vector<uint16_t> Inputs(size_t count, size_t cols, std::vector<float>& exact) {
  exact = Normals(count * cols, 5);
  std::vector<uint16_t> x(count * 2 * InputPairs(cols));
  for (size_t m = 0; m < count; ++m)
    for (size_t i = 0; i < cols; ++i) {
      const uint16_t bits = FloatToBF16(exact[m * cols + i]);
      x[m * 2 * InputPairs(cols) + i] = bits;
      exact[m * cols + i] = BF16ToFloat(bits);
    }
  return x;
}

// Returns all of them, one after another.
std::vector<float> ExpectProducts() {
  std::vector<float> all;
  for (const Layout layout : kAllLayouts)
    for (const size_t cols : layout >= Layout::kInt6Super
                                 ? std::vector<size_t>{256, 1536}
                                 : std::vector<size_t>{WidthsOf(layout).front(), 32, 64, WidthsOf(layout).back(),
                                                       size_t{IsOfBlocks(layout) ? 160u : 37u}, 576}) {
      const RandomMatrix w(layout, kRows, cols);
      const Decoded panels(w.view());
      for (size_t count = 1; count <= 69; count += count < 34 ? 1 : 7) {
        std::vector<float> exact;
        const std::vector<uint16_t> x = Inputs(count, cols, exact);
        const size_t ldy = kRows + 2;
        std::vector<float> y(count * ldy, 9);
        BF16Product product{.x = x.data(),
                            .count = count,
                            .ldx = 2 * InputPairs(cols),
                            .words = InputPairs(cols),
                            .panels = panels.values.data(),
                            .outputs = kRows,
                            .scales = layout == Layout::kInt8Row ? w.view().row_scales : nullptr,
                            .y = y.data(),
                            .ldy = ldy};
        MultiplyPanels(product);
        for (size_t m = 0; m < count; ++m)
          for (size_t r = 0; r < ldy; ++r) {
            if (r >= kRows) {
              EXPECT_EQ(y[m * ldy + r], 9);
              continue;
            }
            double dot = 0, size = 0;
            for (size_t i = 0; i < cols; ++i) {
              double weight = static_cast<double>(BF16ToFloat(panels.At(r, i)));
              if (layout == Layout::kInt8Row) weight *= static_cast<double>(w.view().row_scales[r]);
              const double term = weight * static_cast<double>(exact[m * cols + i]);
              dot += term;
              size += std::fabs(term);
            }
            // One rounding a pair of inputs, each below ε·size in the worst case and far less as random signs.
            const double tolerance = 0x1p-24 * size * 4 * std::sqrt(static_cast<double>(cols));
            EXPECT_TRUE(std::fabs(static_cast<double>(y[m * ldy + r]) - dot) <= tolerance)
                << LayoutName(layout) << " " << cols << " count " << count << " got " << y[m * ldy + r] << " want "
                << dot;
          }
        std::vector<float> one(kRows), twice = y;
        product.count = 1;
        product.from_memory = true;  // another order of panels and blocks
        product.y = one.data();
        for (size_t m = 0; m < count; ++m) {
          product.x = x.data() + m * product.ldx;
          MultiplyPanels(product);
          for (size_t r = 0; r < kRows; ++r) EXPECT_EQ(one[r], y[m * ldy + r]) << "depends on the batch";
        }
        product.x = x.data();
        product.count = count;
        product.y = twice.data();
        product.accumulate = true;
        MultiplyPanels(product);
        for (size_t m = 0; m < count; ++m)
          for (size_t r = 0; r < kRows; ++r) EXPECT_EQ(twice[m * ldy + r], 2 * y[m * ldy + r]);
        all.insert(all.end(), y.begin(), y.end());
        if (::testing::Test::HasFailure()) return all;
      }
    }
  return all;
}

// Of rows that fill no block, words that fill no tile, and outputs that fill no panel, into rows with a stride of their
// own: x₁ w₁ + x₂ w₁ + x₁ w₂, but for the rounding of sums.
TEST_F(Panels, ProductsInPartsEqualTheReference) {
  if (!HasBF16Tiles()) GTEST_SKIP() << "this CPU or build has no AMX";
  for (const size_t words : {1, 15, 16, 17, 32, 48})
    for (const size_t outputs : {1, 15, 16, 17, 31, 32, 33, 64})
      for (const size_t count : {1, 15, 16, 17, 31, 32, 33}) {
        const size_t cols = 2 * words, ldx = 2 * cols + 4, ldy = outputs + 3;
        const RandomMatrix w(Layout::kF32, outputs, cols);
        std::vector<uint16_t> panels, x(count * ldx);
        for (size_t r = 0; r < outputs; r += kTileRows)
          for (const auto decode :
               {+[](const MatrixView&m, size_t row, uint16_t*to) { DecodeBF16Panel(m, row, to); }, DecodeBF16Rest}) {
            panels.resize(panels.size() + PanelValues(cols));
            decode(w.view(), r, panels.data() + panels.size() - PanelValues(cols));
          }
        const std::vector<float> in = Normals(count * cols, 5);
        for (size_t m = 0; m < count; ++m)
          SplitToBF16(in.data() + m * cols, x.data() + m * ldx, x.data() + m * ldx + cols, cols);
        for (const bool accumulate : {false, true}) {
          std::vector<float> y(count * ldy, 9);
          MultiplyPanels(BF16Product{.x = x.data(),
                                     .count = count,
                                     .ldx = ldx,
                                     .words = words,
                                     .panels = panels.data(),
                                     .outputs = outputs,
                                     .y = y.data(),
                                     .ldy = ldy,
                                     .accumulate = accumulate,
                                     .in_parts = true});
          for (size_t m = 0; m < count; ++m)
            for (size_t r = 0; r < ldy; ++r) {
              if (r >= outputs) {
                ASSERT_EQ(y[m * ldy + r], 9) << "beyond the row";
                continue;
              }
              double dot = accumulate ? 9 : 0, size = dot;
              for (size_t i = 0; i < cols; ++i) {
                const double x1 = static_cast<double>(BF16ToFloat(x[m * ldx + i])),
                             x2 = static_cast<double>(BF16ToFloat(x[m * ldx + cols + i])),
                             w1 = static_cast<double>(BF16ToFloat(FloatToBF16(w.At(r, i)))),
                             w2 = static_cast<double>(
                                 BF16ToFloat(FloatToBF16(w.At(r, i) - BF16ToFloat(FloatToBF16(w.At(r, i))))));
                dot += x1 * w1 + x2 * w1 + x1 * w2;
                size += std::fabs(x1 * w1) + std::fabs(x2 * w1) + std::fabs(x1 * w2);
              }
              const double tolerance = 0x1p-24 * size * 4 * std::sqrt(static_cast<double>(3 * cols));
              ASSERT_TRUE(std::fabs(static_cast<double>(y[m * ldy + r]) - dot) <= tolerance)
                  << words << " words, " << outputs << " outputs, " << count << " rows, at " << m << " " << r;
            }
        }
      }
}

// In tiles and in vectors, whose sums are taken in different orders: equal ones would be of the same kernel.
TEST_F(Panels, ProductsEqualTheReference) {
  std::vector<std::vector<float>> products;
  for (const std::string& target : SupportedTargets()) {
    ForceTarget(target);
    if (HasBF16Dot()) products.push_back(ExpectProducts());
  }
  ForceTarget("auto");
  for (size_t i = 1; i < products.size(); ++i) EXPECT_NE(products[i], products[i - 1]);
}

}  // namespace
}  // namespace qad

#include "kernels/panels_bf16.h"

#include "base/half.h"
#include "base/testing.h"
#include "kernels/matrix_testing.h"
#include "kernels/targets_testing.h"

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
  explicit Decoded(const MatrixView& w) : each(PanelValues(w.cols)) {
    values.assign(each * 3 + 1, 0x7fc1);
    for (size_t r = 0; r < w.rows; r += kTileRows) DecodeBF16Panel(w, r, values.data() + r / kTileRows * each);
  }
  uint16_t At(size_t row, size_t i) const {
    return values[row / kTileRows * each + i / 2 * 2 * kTileRows + row % kTileRows * 2 + i % 2];
  }
};

TEST(PanelsTarget, AForcedTargetHolds) {
  for (const std::string& target : SupportedTargets()) {
    ForceTarget(target);
    EXPECT_TRUE(TargetIsAvx512() || !HasBF16Dot()) << target;
  }
  ForceTarget("auto");
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
  for (const Layout layout : {Layout::kF32, Layout::kF16, Layout::kBF16})
    for (const size_t cols : {1, 2, 15, 16, 17, 64})
      for (const size_t rows : {1, 2, 7, 32}) {
        const RandomMatrix w(layout, rows, cols);
        std::vector<uint16_t> panel(PanelValues(rows));
        for (size_t column = 0; column < cols; column += kTileRows) {
          DecodeBF16ColumnPanel(w.view(), column, panel.data());
          for (size_t k = 0; k < 2 * InputPairs(rows); ++k)
            for (size_t i = 0; i < kTileRows; ++i) {
              const bool inside = k < rows && column + i < cols;
              ASSERT_EQ(panel[k / 2 * 2 * kTileRows + 2 * i + k % 2],
                        inside ? FloatToBF16(w.At(k, column + i)) : uint16_t{0})
                  << LayoutName(layout) << " " << rows << " × " << cols << " at " << k << " " << column + i;
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

TEST_F(Panels, ProductsEqualTheReference) {
  for (const Layout layout : kAllLayouts)
    for (const size_t cols : layout >= Layout::kInt8Super
                                 ? std::vector<size_t>{256, 1536}
                                 : std::vector<size_t>{WidthsOf(layout).front(), 32, 64, 576}) {
      const RandomMatrix w(layout, kRows, cols);
      const Decoded panels(w.view());
      for (size_t count = 1; count <= 33; ++count) {
        std::vector<float> exact;
        const std::vector<uint16_t> x = Inputs(count, cols, exact);
        const size_t ldy = kRows + 2;
        std::vector<float> y(count * ldy, 9);
        BF16Product product{.x = x.data(),
                            .count = count,
                            .ldx = 2 * InputPairs(cols),
                            .pairs = InputPairs(cols),
                            .panels = panels.values.data(),
                            .outputs = kRows,
                            .scales = layout == Layout::kInt8Row ? w.view().row_scales : nullptr,
                            .y = y.data(),
                            .ldy = ldy};
        MultiplyBF16Panels(product);
        for (size_t m = 0; m < count; ++m)
          for (size_t r = 0; r < ldy; ++r) {
            if (r >= kRows) {
              ASSERT_EQ(y[m * ldy + r], 9);
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
            ASSERT_TRUE(std::fabs(static_cast<double>(y[m * ldy + r]) - dot) <= tolerance)
                << LayoutName(layout) << " " << cols << " count " << count << " got " << y[m * ldy + r] << " want "
                << dot;
          }
        std::vector<float> one(kRows), twice = y;
        product.count = 1;
        product.y = one.data();
        for (size_t m = 0; m < count; ++m) {
          product.x = x.data() + m * product.ldx;
          MultiplyBF16Panels(product);
          for (size_t r = 0; r < kRows; ++r) ASSERT_EQ(one[r], y[m * ldy + r]) << "depends on the batch";
        }
        product.x = x.data();
        product.count = count;
        product.y = twice.data();
        product.accumulate = true;
        MultiplyBF16Panels(product);
        for (size_t m = 0; m < count; ++m)
          for (size_t r = 0; r < kRows; ++r) ASSERT_EQ(twice[m * ldy + r], 2 * y[m * ldy + r]);
      }
    }
}

TEST_F(Panels, FewRowsEqualTheReference) {
  constexpr size_t kBegin = 1, kEnd = 36;
  for (const size_t cols : WidthsOf(Layout::kBF16)) {
    const RandomMatrix w(Layout::kBF16, kRows, cols);
    for (const size_t count : {1, 2, 5, 6, 7, 8, 13, 16}) {
      std::vector<float> exact;
      const std::vector<uint16_t> x = Inputs(count, cols, exact);
      const size_t ldy = kRows + 1, stride = 2 * InputPairs(cols);
      std::vector<float> y(count * ldy, 9), one(ldy);
      DotRowsBF16(w.view(), kBegin, kEnd, {x.data(), count, stride}, y.data(), ldy);
      for (size_t m = 0; m < count; ++m) {
        DotRowsBF16(w.view(), kBegin, kEnd, {x.data() + m * stride, 1, stride}, one.data(), ldy);
        for (size_t r = 0; r < ldy; ++r) {
          if (r < kBegin || r >= kEnd) {
            ASSERT_EQ(y[m * ldy + r], 9);
            continue;
          }
          const auto [dot, size] = w.Product(r, exact.data() + m * cols);
          const double tolerance = 0x1p-24 * size * (8 + static_cast<double>(cols) / 16);
          ASSERT_TRUE(std::fabs(static_cast<double>(y[m * ldy + r]) - dot) <= tolerance) << cols << " " << count;
          ASSERT_EQ(one[r], y[m * ldy + r]) << "depends on the batch";
        }
      }
    }
  }
}

}  // namespace
}  // namespace qad

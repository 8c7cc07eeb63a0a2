#include "kernels/matrix.h"

#include <cstring>
#include <limits>
#include <numeric>

#include "base/half.h"
#include "base/testing.h"
#include "kernels/matrix_testing.h"
#include "kernels/targets_testing.h"
#include "kernels/tiles_vnni.h"

namespace qad {
namespace {

class Matrix : public PerTarget {};
QAD_PER_TARGET(Matrix);

constexpr double kEps = 0x1p-24;

TEST_P(Matrix, BF16ConversionsAreExhaustive) {
  std::vector<uint16_t> all(1 << 16), back(all.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> values(all.size());
  ConvertFromBF16(all.data(), values.data(), all.size());
  ConvertToBF16(values.data(), back.data(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), i << 16);
    const bool nan = std::isnan(values[i]);
    ASSERT_EQ(back[i], nan ? all[i] | 0x40 : all[i]) << i;
  }
}

// Every rounding case: each bf16 (or f16 in f32) with the bits below it at, around and between the halves.
TEST_P(Matrix, RoundingToBF16IsNearestEven) {
  for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
    std::vector<float> values(1 << 16);
    for (uint32_t i = 0; i < values.size(); ++i) values[i] = std::bit_cast<float>((i << 16) | low);
    std::vector<uint16_t> out(values.size());
    ConvertToBF16(values.data(), out.data(), values.size());
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(out[i], FloatToBF16(values[i])) << i << " " << low;
  }
}

TEST_P(Matrix, F16ConversionsAreExhaustive) {
  std::vector<uint16_t> all(1 << 16), back(all.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> values(all.size());
  ConvertFromF16(all.data(), values.data(), all.size());
  ConvertToF16(values.data(), back.data(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const float want = F16ToFloat(all[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
      ASSERT_TRUE(std::isnan(F16ToFloat(back[i]))) << i;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(want)) << i;
      ASSERT_EQ(back[i], all[i]);
    }
  }
}

TEST_P(Matrix, RoundingToF16IsNearestEven) {
  std::vector<float> values;
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    const float low = F16ToFloat(static_cast<uint16_t>(half));
    const float high = half == 0x7bff ? 65536.0f : F16ToFloat(static_cast<uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;
    for (const float v : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)})
      values.insert(values.end(), {v, -v});
  }
  for (const float v : {65504.0f, 65519.0f, 65520.0f, 1e6f, 1e-9f, 0x1p-25f, 0x1.8p-25f, 0x1p-149f})
    values.push_back(v);
  std::vector<uint16_t> out(values.size());
  ConvertToF16(values.data(), out.data(), values.size());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(out[i], FloatToF16(values[i])) << values[i];
}

TEST_P(Matrix, ConversionsTakeAnyLength) {
  for (const size_t n : OddSizes()) {
    const auto x = Normals(n, 1);
    std::vector<uint16_t> bf16(n + 1, 0xabcd), f16(n + 1, 0xabcd);
    ConvertToBF16(x.data(), bf16.data(), n);
    ConvertToF16(x.data(), f16.data(), n);
    EXPECT_EQ(bf16[n], 0xabcd);
    EXPECT_EQ(f16[n], 0xabcd);
    std::vector<float> from_bf16(n + 1, 5), from_f16(n + 1, 5);
    ConvertFromBF16(bf16.data(), from_bf16.data(), n);
    ConvertFromF16(f16.data(), from_f16.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(from_bf16[i], BF16ToFloat(FloatToBF16(x[i])));
      ASSERT_EQ(from_f16[i], F16ToFloat(FloatToF16(x[i])));
    }
    EXPECT_EQ(from_bf16[n], 5);
    EXPECT_EQ(from_f16[n], 5);
  }
}

TEST_P(Matrix, DecodedRowsEqualTheReference) {
  for (const Layout layout : kAllLayouts) {
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, 3, cols);
      for (size_t row = 0; row < 3; ++row) {
        std::vector<float> out(cols + 1, 5);
        DecodeRow(w.view(), row, out.data());
        EXPECT_EQ(out[cols], 5);
        out.pop_back();
        EXPECT_TRUE(AllClose(out, w.Row(row), 0)) << LayoutName(layout) << " " << cols;
      }
    }
  }
}

TEST_P(Matrix, ProductsEqualTheReferenceForEveryLayout) {
  constexpr size_t kRows = 41, kBegin = 1, kEnd = 38;
  for (const Layout layout : kAllLayouts) {
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, kRows, cols);
      for (const size_t count : {1, 3, 4, 7, 8}) {
        const size_t ldx = cols + 3, ldy = kRows + 2;
        const auto x = Normals(count * ldx, 1);
        std::vector<float> y(count * ldy, 9);
        DotRows(w.view(), kBegin, kEnd, x.data(), count, ldx, y.data(), ldy);
        for (size_t m = 0; m < count; ++m) {
          for (size_t r = 0; r < ldy; ++r) {
            const float got = y[m * ldy + r];
            if (r < kBegin || r >= kEnd) {
              ASSERT_EQ(got, 9) << "outside of the rows asked for";
              continue;
            }
            const auto [dot, size] = w.Product(r, x.data() + m * ldx);
            // At most `cols` additions round partial sums below `size`, up or down: a walk of √cols steps or so.
            const double tolerance = kEps * size * (8 + static_cast<double>(cols) / 16);
            ASSERT_TRUE(std::fabs(static_cast<double>(got) - dot) <= tolerance) << LayoutName(layout) << " " << cols;
          }
        }
      }
    }
  }
}

// A row's product must not depend on how many others are computed with it: batches equal single runs.
TEST_P(Matrix, ProductsDoNotDependOnTheBatch) {
  for (const Layout layout : kAllLayouts) {
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, 4, cols);
      const auto x = Normals(8 * cols, 1);
      std::vector<float> all(8 * 4), one(4);
      DotRows(w.view(), 0, 4, x.data(), 8, cols, all.data(), 4);
      for (size_t m = 0; m < 8; ++m) {
        DotRows(w.view(), 0, 4, x.data() + m * cols, 1, cols, one.data(), 4);
        for (size_t r = 0; r < 4; ++r) ASSERT_EQ(one[r], all[m * 4 + r]) << LayoutName(layout) << " " << cols;
      }
      for (size_t r = 0; r < 4; ++r) {  // nor on the rows of the matrix, which threads share out
        std::vector<float> alone(8 * 4);
        DotRows(w.view(), r, r + 1, x.data(), 8, cols, alone.data(), 4);
        for (size_t m = 0; m < 8; ++m) ASSERT_EQ(alone[m * 4 + r], all[m * 4 + r]) << LayoutName(layout) << " " << cols;
      }
    }
  }
}

TEST_P(Matrix, SumsOfRowsEqualTheReference) {
  for (const Layout layout : {Layout::kF32, Layout::kF16, Layout::kBF16, Layout::kQ8_0, Layout::kQ4_0})
    for (const size_t cols : WidthsOf(layout))
      for (const size_t rows : {1, 2, 9, 100})
        for (const size_t count : {1, 2, 3, 4, 9}) {
          const RandomMatrix w(layout, rows, cols);
          const auto weights = Normals(count * (rows + 1), 1);
          std::vector<float> out(count * (cols + 1), 9);
          WeightedSums(w.view(), weights.data(), count, rows + 1, out.data(), cols + 1);
          for (size_t m = 0; m < count; ++m) {
            for (size_t i = 0; i < cols; ++i) {
              double sum = 0, size = 0;
              for (size_t r = 0; r < rows; ++r) {
                const double term = static_cast<double>(weights[m * (rows + 1) + r]) * static_cast<double>(w.At(r, i));
                sum += term;
                size += std::fabs(term);
              }
              // `rows` roundings of partial sums below `size`, one after another: a random walk of as many steps.
              const double tolerance = kEps * size * (2 + std::sqrt(static_cast<double>(rows)));
              ASSERT_TRUE(std::fabs(static_cast<double>(out[m * (cols + 1) + i]) - sum) <= tolerance)
                  << LayoutName(layout) << " " << rows << "x" << cols << " " << count;
            }
            ASSERT_EQ(out[m * (cols + 1) + cols], 9);
          }
        }
}

struct Quantized {
  std::vector<int8_t> codes;
  std::vector<float> pairs;
  std::vector<int32_t> shifts;
  QuantizedRows rows;
  float scale(size_t m, size_t b) const { return pairs[2 * rows.At(m, b)]; }
  int code(size_t m, size_t i) const { return codes[rows.At(m, i / kBlock) * kBlock + i % kBlock]; }
  Quantized(const float* x, size_t count, size_t cols) {
    const size_t blocks = (cols + kBlock - 1) / kBlock;
    codes.resize(count * blocks * kBlock);
    pairs.resize(2 * count * blocks);
    shifts.resize(2 * count * blocks);
    rows = {codes.data(), pairs.data(), shifts.data(), count, blocks};
    for (size_t m = 0; m < count; ++m) QuantizeActivations(x + m * cols, cols, rows, m);
  }
};

TEST_P(Matrix, ActivationsKeepTheirErrorBound) {
  for (const size_t cols : OddSizes()) {
    const auto x = Normals(cols, 1, 5);
    const Quantized q(x.data(), 1, cols);
    for (size_t b = 0; b < q.rows.blocks; ++b) {
      float largest = 0;
      int sum = 0;
      for (size_t i = b * kBlock; i < (b + 1) * kBlock; ++i) {
        sum += q.codes[i];
        if (i < cols)
          largest = std::max(largest, std::fabs(x[i]));
        else
          ASSERT_EQ(q.codes[i], 0) << "the last block is filled with zeros";
      }
      ASSERT_EQ(q.scale(0, b), largest / 127.0f);
      ASSERT_EQ(q.pairs[2 * b + 1], q.scale(0, b) * static_cast<float>(sum));
      ASSERT_EQ(q.shifts[2 * b] + q.shifts[2 * b + 1], -128 * sum);
      ASSERT_EQ(q.shifts[2 * b], -128 * std::accumulate(&q.codes[b * kBlock], &q.codes[b * kBlock] + kBlock / 2, 0));
      for (size_t i = b * kBlock; i < std::min(cols, (b + 1) * kBlock); ++i) {
        // Half a step, and the rounding of x · (1/scale) near a half.
        const double error = std::fabs(static_cast<double>(q.scale(0, b)) * q.codes[i] - static_cast<double>(x[i]));
        ASSERT_TRUE(error <= static_cast<double>(largest) / 127 * (0.5 + 1e-4)) << cols << " " << i;
      }
    }
  }
}

TEST_P(Matrix, ActivationsOfZerosAndOfNan) {
  const std::vector<float> zeros(40);
  const Quantized q(zeros.data(), 1, 40);
  for (const int8_t code : q.codes) EXPECT_EQ(code, 0);
  EXPECT_EQ(q.scale(0, 0), 0);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (size_t at = 0; at < 40; ++at) {
      auto x = Normals(40, 1);
      x[at] = bad;
      const Quantized broken(x.data(), 1, 40);
      EXPECT_FALSE(std::isfinite(broken.scale(0, at / kBlock))) << at;
      EXPECT_FALSE(std::isfinite(broken.pairs[2 * (at / kBlock) + 1])) << at;
    }
  }
}

// The integer product is exact: it equals the product of the decoded weights, of tables rounded, with the decoded
// activations.
void ExpectIntegerProducts() {
  constexpr size_t kRows = 53, kBegin = 1, kEnd = 51;  // parts of the first and the last tile, two whole ones
  for (const Layout layout : kAllLayouts) {
    if (!IsInteger(layout)) continue;
    for (const size_t cols : WidthsOf(layout)) {
      const RandomMatrix w(layout, kRows, cols);
      for (const size_t count : {1, 2, 4, 5, 13, 23}) {
        const auto x = Normals(count * cols, 1);
        const Quantized q(x.data(), count, cols);
        std::vector<float> decoded(count * cols);
        for (size_t m = 0; m < count; ++m)
          for (size_t i = 0; i < cols; ++i)
            decoded[m * cols + i] = q.scale(m, i / kBlock) * static_cast<float>(q.code(m, i));
        const size_t ldy = kRows + 1;
        std::vector<float> y(count * ldy, 9);
        DotRowsInt8(w.view(), kBegin, kEnd, q.rows, y.data(), ldy);
        for (size_t m = 0; m < count; ++m) {
          for (size_t r = 0; r < ldy; ++r) {
            const float got = y[m * ldy + r];
            if (r < kBegin || r >= kEnd) {
              ASSERT_EQ(got, 9);
              continue;
            }
            const auto [dot, size] = w.Product(r, decoded.data() + m * cols, true);
            // Rounding of up to cols/32 partial sums; with offsets the two parts may cancel, each is below 3·size.
            const double tolerance = kEps * size * (16 + static_cast<double>(cols) / 8);
            ASSERT_TRUE(std::fabs(static_cast<double>(got) - dot) <= tolerance)
                << LayoutName(layout) << " " << cols << " got " << got << " want " << dot;
            const auto [exact, unused] = w.Product(r, x.data() + m * cols);
            double bound = tolerance;  // half a step of each block's activations, times the weights
            for (size_t i = 0; i < cols; ++i) {
              const double rounded = w.IntegerAt(r, i), weight = static_cast<double>(w.At(r, i));
              bound += static_cast<double>(q.scale(m, i / kBlock)) * 0.5001 * std::fabs(rounded) +
                       std::fabs((rounded - weight) * static_cast<double>(x[m * cols + i]));
            }
            ASSERT_TRUE(std::fabs(static_cast<double>(got) - exact) <= bound);
          }
        }
        std::vector<float> one(ldy);
        for (size_t m = 0; m < count; ++m) {
          const Quantized single(x.data() + m * cols, 1, cols);
          DotRowsInt8(w.view(), kBegin, kEnd, single.rows, one.data(), ldy);
          for (size_t r = kBegin; r < kEnd; ++r) ASSERT_EQ(one[r], y[m * ldy + r]) << "depends on the batch";
        }
      }
    }
  }
}

// The largest sums that there can be: every code and every activation at its end.
void ExpectExtremeProducts() {
  constexpr size_t kCols = 256, kCount = 3;
  constexpr uint16_t kOne = 0x3c00;
  for (const Layout layout : kAllLayouts) {
    if (!IsInteger(layout) || IsTable(layout)) continue;
    const bool six = layout == Layout::kInt6Super, bytes = !IsUnsigned(layout);
    std::vector<std::byte> scales(LayoutScaleBytes(layout, kCols, 0));
    if (IsSuper(layout)) {  // d = 1, m = 0, every s = 1, every n = 0
      std::memcpy(scales.data(), &kOne, sizeof(kOne));
      for (size_t i = 4; i < scales.size(); ++i)
        scales[i] = static_cast<std::byte>((i - 4) / ScaledParts(layout) % 2 == 0 ? 1 : 0);
    } else if (layout != Layout::kInt8Row) {
      for (size_t i = 0; i < scales.size(); i += 4) std::memcpy(scales.data() + i, &kOne, sizeof(kOne));
    }
    const std::vector<float> ones(kTileRows, 1.0f);
    const float top = HasFifth(layout) ? 31 : 15;
    for (const bool high : {true, false}) {
      const float code = !bytes ? (high ? top : 0) : six ? (high ? 31 : -32) : (high ? 127 : -128);
      const auto byte = static_cast<std::byte>(bytes ? static_cast<int>(code) & 255 : high ? 255 : 0);
      const std::vector<std::byte> row(LayoutRowBytes(layout, kCols), byte);
      std::vector<std::byte> tile(kTileRows * row.size()), tile_scales(kTileRows * scales.size());
      const MatrixView w{.layout = layout,
                         .rows = kTileRows,
                         .cols = kCols,
                         .codes = tile.data(),
                         .stride_bytes = row.size(),
                         .row_scales = ones.data(),
                         .block_scales = tile_scales.data()};
      for (size_t r = 0; r < kTileRows; ++r)
        PlaceRow(w, r, row.data(), layout == Layout::kInt8Row ? nullptr : scales.data());
      for (const float x : {127.0f, -127.0f}) {
        const std::vector<float> activations(kCount * kCols, x);
        const Quantized q(activations.data(), kCount, kCols);
        std::vector<float> y(kCount * kTileRows);
        DotRowsInt8(w, 0, kTileRows, q.rows, y.data(), kTileRows);
        for (const float value : y) ASSERT_EQ(value, code * x * kCols) << LayoutName(layout) << " " << code;
      }
    }
  }
}

TEST_P(Matrix, IntegerProductsEqualTheReference) {
  ExpectIntegerProducts();
  ExpectExtremeProducts();
}

TEST_P(Matrix, IntegerProductsWithoutVnni) {
  AllowVnni(false);
  ExpectIntegerProducts();
  ExpectExtremeProducts();
  AllowVnni(true);
}

// NF4's values rounded to bytes: half a step off at most, and the ends and zero exact.
TEST(MatrixLayout, BytesOfNf4AreTheNearest) {
  EXPECT_EQ(kNf4Table.bytes[0], -127);
  EXPECT_EQ(kNf4Table.bytes[7], 0);
  EXPECT_EQ(kNf4Table.bytes[15], 127);
  for (size_t code = 0; code < 16; ++code) {
    const float value = kNf4Table.values[code];
    EXPECT_LE(std::fabs(127 * value - static_cast<float>(kNf4Table.bytes[code])), 0.5f) << code;
    EXPECT_TRUE(code == 0 || value > kNf4Table.values[code - 1]);
  }
}

// IQ4_NL's values are whole numbers: integer products take them as they are.
TEST(MatrixLayout, BytesOfIq4AreItsValues) {
  for (size_t code = 0; code < 16; ++code)
    EXPECT_EQ(static_cast<float>(kIq4Table.bytes[code]) * kIq4Table.step, kIq4Table.values[code]);
}

TEST(MatrixLayout, RowsHoldWholeBlocks) {
  EXPECT_EQ(LayoutRowBytes(Layout::kF32, 33), 132u);
  EXPECT_EQ(LayoutRowBytes(Layout::kF16, 33), 66u);
  EXPECT_EQ(LayoutRowBytes(Layout::kBF16, 33), 66u);
  EXPECT_EQ(LayoutRowBytes(Layout::kQ8_0, 64), 68u);
  EXPECT_EQ(LayoutRowBytes(Layout::kQ4_0, 64), 36u);
  EXPECT_EQ(LayoutRowBytes(Layout::kBF16Tile, 33), 68u);
  EXPECT_EQ(LayoutRows(Layout::kBF16Tile, 33), 48u);
  EXPECT_EQ(LayoutRows(Layout::kQ8_0, 33), 33u);
  EXPECT_EQ(LayoutRowBytes(Layout::kInt8Row, 33), 64u);
  EXPECT_EQ(LayoutRowBytes(Layout::kInt8Block, 64), 64u);
  EXPECT_EQ(LayoutRowBytes(Layout::kInt5Block, 64), 40u);
  EXPECT_EQ(LayoutRowBytes(Layout::kInt4Block, 64), 32u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kInt8Row, 33, 0), 4u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kInt4Block, 64, 0), 8u);
  EXPECT_EQ(LayoutRowBytes(Layout::kNf4, 160), 80u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kNf4, 160, 0), 20u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kNf4, 160, 1), 12u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kInt4Zero, 160, 2), 8u);
  EXPECT_EQ(LayoutScaleBytes(Layout::kBF16, 64, 0), 0u);
}

}  // namespace
}  // namespace qad

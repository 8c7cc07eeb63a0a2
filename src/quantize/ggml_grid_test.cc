#include "quantize/ggml_grid.h"

#include "base/random.h"
#include "base/testing.h"

namespace qad {
namespace {

constexpr FormatId kGrids[] = {FormatId::kQ8_0, FormatId::kQ4_0, FormatId::kQ4_1,  FormatId::kQ5_0,
                               FormatId::kQ5_1, FormatId::kQ2_K, FormatId::kQ3_K,  FormatId::kQ4_K,
                               FormatId::kQ5_K, FormatId::kQ6_K, FormatId::kIQ4_NL};

class GgmlGrids : public ::testing::TestWithParam<FormatId> {
 protected:
  static constexpr size_t kCols = 512;
  const Format& format_ = GetFormat(GetParam());

  std::vector<float> Row(uint64_t stream, double size) const {
    Random random(4, stream);
    std::vector<float> row(kCols);
    for (float& value : row) value = static_cast<float>(size * random.Normal());
    return row;
  }
  std::vector<float> Decoded(const std::vector<std::byte>& bytes) const {
    std::vector<float> out(kCols);
    format_.decode_row(bytes.data(), out.data(), kCols);
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Formats, GgmlGrids, ::testing::ValuesIn(kGrids),
                         [](const auto& row) { return std::string(GetFormat(row.param).name); });

double WeightedError(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& w) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += static_cast<double>(w[i]) * difference * difference;
  }
  return sum;
}

// The error that is returned is what the codec decodes, and for plain weights it is not above the reference encoder's.
TEST_P(GgmlGrids, EncodesToWhatItSays) {
  for (const double size : {1e-3, 1.0, 300.0}) {
    double ours = 0, reference = 0;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const std::vector<float> row = Row(seed, size), alike(kCols, 1.0f);
      std::vector<std::byte> bytes(format_.RowBytes(kCols));
      const double error = EncodeGgmlRow(GetParam(), row.data(), alike.data(), kCols, bytes.data());
      const double decoded = WeightedError(Decoded(bytes), row, alike);
      EXPECT_NEAR(error, decoded, 1e-4 * decoded + 1e-12);
      ours += decoded;
      if (format_.encode_row == nullptr) continue;
      format_.encode_row(row.data(), bytes.data(), kCols);
      reference += WeightedError(Decoded(bytes), row, alike);
    }
    if (format_.encode_row != nullptr) {
      EXPECT_LE(ours, reference) << format_.name;
    }
  }
}

// Inputs that weigh more come out better than where all weigh alike.
TEST_P(GgmlGrids, HeedsWeights) {
  double heeded = 0, alike = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const std::vector<float> row = Row(seed, 1), ones(kCols, 1.0f);
    std::vector<float> w(kCols);
    Random random(5, seed);
    for (float& value : w) value = static_cast<float>(std::exp(2 * random.Normal()));
    std::vector<std::byte> bytes(format_.RowBytes(kCols));
    heeded += EncodeGgmlRow(GetParam(), row.data(), w.data(), kCols, bytes.data());
    (void)EncodeGgmlRow(GetParam(), row.data(), ones.data(), kCols, bytes.data());
    alike += WeightedError(Decoded(bytes), row, w);
  }
  EXPECT_LT(heeded, (GetParam() == FormatId::kQ8_0 ? 1.0 : 0.95) * alike) << format_.name;
}

// Placing values one by one, parts chosen anew on the way, decodes to what each placement returned.
TEST_P(GgmlGrids, PlacesOneByOne) {
  const std::vector<float> row = Row(1, 1), ones(kCols, 1.0f);
  GgmlGrid grid(GetParam());
  std::vector<std::byte> bytes(format_.RowBytes(kCols));
  std::vector<float> placed(kCols);
  for (size_t at = 0; at < kCols; at += grid.block()) {
    grid.Start(row.data() + at, ones.data());
    for (size_t i = 0; i < grid.block(); ++i) {
      if (i % grid.part() == 0 && i > 0) grid.StartPart(i / grid.part(), row.data() + at + i, ones.data());
      placed[at + i] = grid.Place(i, row[at + i]);
    }
    ASSERT_TRUE(grid.finite());
    grid.Write(bytes.data() + at / grid.block() * static_cast<size_t>(format_.block_bytes));
  }
  EXPECT_TRUE(AllClose(placed, Decoded(bytes), 0, 1e-6));
}

TEST_P(GgmlGrids, OddBlocks) {
  const std::vector<float> ones(kCols, 1.0f);
  std::vector<std::byte> bytes(format_.RowBytes(kCols));
  for (const float value : {0.0f, -0.0f, 1e-40f, 0.75f, -0.75f}) {
    const std::vector<float> row(kCols, value);
    EXPECT_LE(EncodeGgmlRow(GetParam(), row.data(), ones.data(), kCols, bytes.data()), 1e-3 * kCols);
    for (const float got : Decoded(bytes)) EXPECT_NEAR(got, value, 0.02) << format_.name;
  }
  // Alone among zeros.
  std::vector<float> row(kCols, 0.0f);
  row[37] = -3;
  (void)EncodeGgmlRow(GetParam(), row.data(), ones.data(), kCols, bytes.data());
  EXPECT_NEAR(Decoded(bytes)[37], -3, 0.1);
  // Beyond f16: said, not written.
  row[37] = 1e9f;
  EXPECT_TRUE(std::isnan(EncodeGgmlRow(GetParam(), row.data(), ones.data(), kCols, bytes.data()))) << format_.name;
}

}  // namespace
}  // namespace qad

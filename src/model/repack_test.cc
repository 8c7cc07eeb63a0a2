#include "model/repack.h"

#include "base/half.h"
#include "base/random.h"
#include "base/testing.h"
#include "kernels/matrix.h"
#include "model/plan.h"

namespace qad {
namespace {

class Repack : public ::testing::TestWithParam<FormatId> {};
INSTANTIATE_TEST_SUITE_P(Formats, Repack,
                         ::testing::Values(FormatId::kQ4_0, FormatId::kQ4_1, FormatId::kQ5_0, FormatId::kQ5_1,
                                           FormatId::kQ8_0),
                         [](const auto& row) { return std::string(GetFormat(row.param).name); });

// Any bytes at all in the codes and any finite scales: what the kernels decode is what the file's codec decodes.
TEST_P(Repack, DecodesToTheSameValues) {
  const Format& format = GetFormat(GetParam());
  const Layout layout = LayoutFor(GetParam());
  for (const size_t cols : {32, 64, 576}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Random random(seed);
      std::vector<std::byte> row(format.RowBytes(cols));
      for (std::byte& b : row) b = static_cast<std::byte>(random.Below(256));
      const bool affine = GetParam() == FormatId::kQ4_1 || GetParam() == FormatId::kQ5_1;
      for (size_t b = 0; b < cols / 32; ++b)
        for (size_t half = 0; half < (affine ? 2u : 1u); ++half) {
          // Up to 4000, down to subnormals, of both signs: the offsets of −8d and −16d must stay within f16.
          const double value = random.Normal() * std::pow(2.0, -22 + 34 * random.Uniform());
          const uint16_t bits = FloatToF16(static_cast<float>(std::clamp(value, -4000.0, 4000.0)));
          std::memcpy(row.data() + b * static_cast<size_t>(format.block_bytes) + 2 * half, &bits, 2);
        }
      std::vector<float> want(cols), got(cols);
      format.decode_row(row.data(), want.data(), cols);
      std::vector<std::byte> codes(LayoutRowBytes(layout, cols));
      std::vector<uint16_t> pairs(cols / 32 * 2, 0x7e00);
      RepackRow(GetParam(), row.data(), cols, codes.data(), pairs.data());
      std::vector<std::byte> tile(codes.size() * kTileRows);
      std::vector<uint16_t> tile_pairs(pairs.size() * kTileRows);
      const MatrixView view{.layout = layout,
                            .rows = 1,
                            .cols = cols,
                            .codes = tile.data(),
                            .stride_bytes = codes.size(),
                            .row_scales = nullptr,
                            .block_pairs = tile_pairs.data()};
      PlaceRow(view, 0, codes.data(), pairs.data());
      DecodeRow(view, 0, got.data());
      ASSERT_TRUE(AllClose(got, want, 0)) << format.name << " " << cols << " " << seed;
    }
  }
}

}  // namespace
}  // namespace qad

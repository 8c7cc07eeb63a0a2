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
                                           FormatId::kQ8_0, FormatId::kQ2_K, FormatId::kQ3_K, FormatId::kQ4_K,
                                           FormatId::kQ5_K, FormatId::kQ6_K, FormatId::kIQ4_NL),
                         [](const auto& row) { return std::string(GetFormat(row.param).name); });

// Where the f16 scales of a block lie.
std::vector<size_t> HalvesOf(FormatId format) {
  switch (format) {
    case FormatId::kQ4_1:
    case FormatId::kQ5_1:
    case FormatId::kQ4_K:
    case FormatId::kQ5_K:
      return {0, 2};
    case FormatId::kQ2_K:
      return {80, 82};
    case FormatId::kQ3_K:
      return {108};
    case FormatId::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

// Any bytes at all in the codes and any finite scales: what the kernels decode is what the file's codec decodes.
TEST_P(Repack, DecodesToTheSameValues) {
  const Format& format = GetFormat(GetParam());
  const Layout layout = LayoutFor(GetParam());
  const auto block = static_cast<size_t>(format.block), bytes = static_cast<size_t>(format.block_bytes);
  for (const size_t cols : {block, 2 * block, 18 * block}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Random random(seed);
      std::vector<std::byte> row(format.RowBytes(cols));
      for (std::byte& b : row) b = static_cast<std::byte>(random.Below(256));
      for (size_t b = 0; b < cols / block; ++b)
        for (const size_t at : HalvesOf(GetParam())) {
          // Down to subnormals, of both signs, up to where the offset of −8d, or of −16d, stays within f16.
          const double most = GetParam() == FormatId::kQ5_0 ? 4000 : 8000;
          const double value = random.Normal() * std::pow(2.0, -22 + 34 * random.Uniform());
          const uint16_t bits = FloatToF16(static_cast<float>(std::clamp(value, -most, most)));
          std::memcpy(row.data() + b * bytes + at, &bits, 2);
        }
      std::vector<float> want(cols), got(cols);
      format.decode_row(row.data(), want.data(), cols);
      std::vector<std::byte> codes(LayoutRowBytes(layout, cols)), scales(LayoutScaleBytes(layout, cols, 0));
      RepackRow(GetParam(), row.data(), cols, codes.data(), scales.data());
      std::vector<std::byte> tile(codes.size() * kTileRows), tile_scales(scales.size() * kTileRows);
      const MatrixView view{.layout = layout,
                            .rows = kTileRows,
                            .cols = cols,
                            .codes = tile.data(),
                            .stride_bytes = codes.size(),
                            .row_scales = nullptr,
                            .block_scales = tile_scales.data()};
      const size_t at = seed % kTileRows;
      PlaceRow(view, at, codes.data(), scales.data());
      DecodeRow(view, at, got.data());
      ASSERT_TRUE(AllClose(got, want, 0)) << format.name << " " << cols << " " << seed;
    }
  }
}

}  // namespace
}  // namespace qad

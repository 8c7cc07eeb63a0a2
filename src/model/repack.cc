#include "model/repack.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "formats/k_blocks.h"
#include "kernels/matrix.h"
#include "model/plan.h"

namespace qad {
namespace {

// w = d·(q − z) becomes d·q − z·d; the offset is exact in f16 but for overflow, beyond a scale of 8188 or 4094.
uint16_t Centred(uint16_t scale, float zero) {
  const uint16_t offset = FloatToF16(-zero * F16ToFloat(scale));
  if (std::isinf(F16ToFloat(offset)))
    FailInput("a block's scale is {}: the weights it stands for are out of range; is the file damaged?",
              F16ToFloat(scale));
  return offset;
}

void RepackBlock(FormatId format, const std::byte* block, std::byte* codes, uint16_t* pair) {
  pair[0] = LoadF16Bits(block);
  switch (format) {
    case FormatId::kQ4_0:
      pair[1] = Centred(pair[0], 8);
      std::memcpy(codes, block + 2, 16);
      break;
    case FormatId::kQ4_1:
      pair[1] = LoadF16Bits(block + 2);
      std::memcpy(codes, block + 4, 16);
      break;
    case FormatId::kQ5_0:
      pair[1] = Centred(pair[0], 16);
      std::memcpy(codes, block + 2, 20);
      break;
    case FormatId::kQ5_1:
      pair[1] = LoadF16Bits(block + 2);
      std::memcpy(codes, block + 4, 20);
      break;
    case FormatId::kQ8_0:
      pair[1] = 0;
      std::memcpy(codes, block + 2, 32);
      break;
    default:
      QAD_CHECK(false);
  }
}

// Codes of 32 values below 16 or 32 as PlaceRow wants them: fifth bits, then nibbles.
void PackUnsigned(const int8_t* values, bool fifth, std::byte* codes) {
  if (fifth) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(values[i] >> 4 & 1) << i;
    std::memcpy(codes, &bits, sizeof(bits));
    codes += sizeof(bits);
  }
  for (int i = 0; i < 16; ++i) codes[i] = static_cast<std::byte>((values[i] & 15) | (values[i + 16] & 15) << 4);
}

// 256 values and their scales: d, −m, then of each block s and n of its parts.
void RepackSuperBlock(Layout layout, const SuperBlock& block, std::byte* codes, std::byte* scales) {
  const uint16_t pair[] = {block.d, static_cast<uint16_t>(block.m ^ 0x8000)};
  std::memcpy(scales, pair, sizeof(pair));
  scales += sizeof(pair);
  const bool halves = layout == Layout::kInt6Super;
  const size_t code_bytes = LayoutRowBytes(layout, kBlock);
  for (size_t b = 0; b < kBlocksPerSuper; ++b, codes += code_bytes) {
    const int8_t* values = block.codes.data() + b * kBlock;
    if (halves)
      std::memcpy(codes, values, kBlock);
    else
      PackUnsigned(values, layout == Layout::kInt5Super, codes);
    const size_t first = 2 * b, parts = halves ? 2 : 1;
    for (size_t part = 0; part < parts; ++part) *scales++ = static_cast<std::byte>(block.scales[first + part]);
    for (size_t part = 0; part < parts; ++part) *scales++ = static_cast<std::byte>(block.minimums[first + part]);
  }
}

}  // namespace

void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, std::byte* scales) {
  const Layout layout = LayoutFor(format);
  const auto block = static_cast<size_t>(GetFormat(format).block),
             bytes = static_cast<size_t>(GetFormat(format).block_bytes);
  const size_t code_bytes = LayoutRowBytes(layout, block), scale_bytes = LayoutScaleBytes(layout, block, 0);
  for (size_t b = 0; b < cols / block; ++b, row += bytes, codes += code_bytes, scales += scale_bytes) {
    if (IsSuperBlock(format)) {
      RepackSuperBlock(layout, UnpackSuperBlock(format, row), codes, scales);
      continue;
    }
    if (layout == Layout::kIq4Block) {
      const float scale = F16ToFloat(LoadF16Bits(row));
      std::memcpy(scales, &scale, sizeof(scale));
      std::memcpy(codes, row + 2, 16);
      continue;
    }
    uint16_t pair[2];
    RepackBlock(format, row, codes, pair);
    std::memcpy(scales, pair, sizeof(pair));
  }
}

}  // namespace qad

#include "model/repack.h"

#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace qad {
namespace {

uint16_t Half(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

// The fifth bits of Q5: bit i of a u32 belongs to value i.
void Unpack5(const std::byte* high, const std::byte* low, int minus, int8_t* codes) {
  uint32_t fifth;
  std::memcpy(&fifth, high, sizeof(fifth));
  for (int i = 0; i < 16; ++i) {
    const int byte = std::to_integer<int>(low[i]);
    codes[i] = static_cast<int8_t>(((byte & 15) | static_cast<int>((fifth >> i) & 1u) << 4) - minus);
    codes[i + 16] = static_cast<int8_t>(((byte >> 4) | static_cast<int>((fifth >> (i + 16)) & 1u) << 4) - minus);
  }
}

}  // namespace

void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, uint16_t* pairs) {
  const size_t bytes = static_cast<size_t>(GetFormat(format).block_bytes);
  for (size_t b = 0; b < cols / 32; ++b, row += bytes) {
    pairs[2 * b] = Half(row);
    pairs[2 * b + 1] = 0;
    auto* wide = reinterpret_cast<int8_t*>(codes) + b * 32;
    switch (format) {
      case FormatId::kQ4_0:  // w = d·(q − 8): the offset −8d is exact in f16 but for overflow beyond ±8188
        pairs[2 * b + 1] = FloatToF16(-8.0f * F16ToFloat(pairs[2 * b]));
        std::memcpy(codes + b * 16, row + 2, 16);
        break;
      case FormatId::kQ4_1:
        pairs[2 * b + 1] = Half(row + 2);
        std::memcpy(codes + b * 16, row + 4, 16);
        break;
      case FormatId::kQ5_0:
        Unpack5(row + 2, row + 6, 16, wide);
        break;
      case FormatId::kQ5_1:
        pairs[2 * b + 1] = Half(row + 2);
        Unpack5(row + 4, row + 8, 0, wide);
        break;
      case FormatId::kQ8_0:
        std::memcpy(wide, row + 2, 32);
        break;
      default:
        QAD_CHECK(false);
    }
  }
}

}  // namespace qad

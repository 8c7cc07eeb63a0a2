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

}  // namespace

void RepackRow(FormatId format, const std::byte* row, size_t cols, std::byte* codes, uint16_t* pairs) {
  const auto bytes = static_cast<size_t>(GetFormat(format).block_bytes);
  for (size_t b = 0; b < cols / 32; ++b, row += bytes, pairs += 2) {
    const uint16_t scale = Half(row);
    // w = d·(q − z) becomes d·q − z·d; the offset is exact in f16 but for overflow, beyond a scale of 8188 or 4094.
    const auto centred = [&](float zero) { return FloatToF16(-zero * F16ToFloat(scale)); };
    const auto put = [&](uint16_t offset, size_t header, size_t size) {
      pairs[0] = scale;
      pairs[1] = offset;
      std::memcpy(codes + b * size, row + header, size);
    };
    switch (format) {
      case FormatId::kQ4_0:
        put(centred(8), 2, 16);
        break;
      case FormatId::kQ4_1:
        put(Half(row + 2), 4, 16);
        break;
      case FormatId::kQ5_0:
        put(centred(16), 2, 20);
        break;
      case FormatId::kQ5_1:
        put(Half(row + 2), 4, 20);
        break;
      case FormatId::kQ8_0:
        put(0, 2, 32);
        break;
      default:
        QAD_CHECK(false);
    }
  }
}

}  // namespace qad

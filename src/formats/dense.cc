// f32, f16, bf16: one value after another.
#include <cstring>

#include "base/half.h"
#include "formats/codecs.h"

namespace qad {

void DecodeF32(const std::byte* row, float* out, size_t cols) { std::memcpy(out, row, cols * sizeof(float)); }
void EncodeF32(const float* in, std::byte* row, size_t cols) { std::memcpy(row, in, cols * sizeof(float)); }

// Rows in files need not be aligned to their type, so values are copied, not cast.
void DecodeF16(const std::byte* row, float* out, size_t cols) {
  for (size_t i = 0; i < cols; ++i) {
    uint16_t bits;
    std::memcpy(&bits, row + 2 * i, sizeof(bits));
    out[i] = F16ToFloat(bits);
  }
}

void EncodeF16(const float* in, std::byte* row, size_t cols) {
  for (size_t i = 0; i < cols; ++i) {
    const uint16_t bits = FloatToF16(in[i]);
    std::memcpy(row + 2 * i, &bits, sizeof(bits));
  }
}

void DecodeBF16(const std::byte* row, float* out, size_t cols) {
  for (size_t i = 0; i < cols; ++i) {
    uint16_t bits;
    std::memcpy(&bits, row + 2 * i, sizeof(bits));
    out[i] = BF16ToFloat(bits);
  }
}

void EncodeBF16(const float* in, std::byte* row, size_t cols) {
  for (size_t i = 0; i < cols; ++i) {
    const uint16_t bits = FloatToBF16(in[i]);
    std::memcpy(row + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace qad

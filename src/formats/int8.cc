// int8: symmetric codes −127 … 127 and one f32 scale a row, w = scale·q. The row ends with its scale.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/codecs.h"

namespace qad {

void DecodeInt8(const std::byte* row, float* out, size_t cols) {
  float scale;
  std::memcpy(&scale, row + cols, sizeof(scale));
  for (size_t i = 0; i < cols; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(row[i]));
}

void EncodeInt8(const float* in, std::byte* row, size_t cols) {
  float largest = 0;
  for (size_t i = 0; i < cols; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float scale = largest / 127.0f;
  for (size_t i = 0; i < cols; ++i) {  // a scale among the denormals is so coarse that a code may pass 127
    const float code = scale > 0 ? std::clamp(std::nearbyint(in[i] / scale), -127.0f, 127.0f) : 0.0f;
    row[i] = static_cast<std::byte>(static_cast<int8_t>(code));
  }
  std::memcpy(row + cols, &scale, sizeof(scale));
}

}  // namespace qad

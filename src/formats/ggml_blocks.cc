// GGML's blocks of 32: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL. Source: ggml-quants; bytes equal to the PyPI package
// `gguf`.
//
//   q8_0  f16 d, 32 × i8                        w = d·q
//   q4_0  f16 d, 16 bytes of nibbles            w = d·(q − 8)
//   q4_1  f16 d, f16 m, 16 bytes                w = d·q + m
//   q5_0  f16 d, u32 fifth bits, 16 bytes       w = d·(q − 16)
//   q5_1  f16 d, f16 m, u32 fifth bits, 16 bytes  w = d·q + m
//   iq4_nl  f16 d, 16 bytes of nibbles          w = d·t[q], t = kIq4Table
// Byte i of the nibbles holds values i (low) and i + 16 (high); bit i of the fifth bits belongs to value i.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "formats/codecs.h"
#include "kernels/tiles.h"

namespace qad {
namespace {

constexpr size_t kBlockValues = 32;
using Codes = std::array<uint8_t, kBlockValues>;

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
void Store(T value, std::byte* at) {
  std::memcpy(at, &value, sizeof(T));
}

float LoadHalf(const std::byte* at) { return F16ToFloat(LoadF16Bits(at)); }
void StoreHalf(float value, std::byte* at) { Store(FloatToF16(value), at); }

void UnpackNibbles(const std::byte* bytes, Codes& codes) {
  for (size_t i = 0; i < 16; ++i) {
    codes[i] = std::to_integer<uint8_t>(bytes[i]) & 15u;
    codes[i + 16] = std::to_integer<uint8_t>(bytes[i]) >> 4;
  }
}

void PackNibbles(const Codes& codes, std::byte* bytes) {
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<std::byte>((codes[i] & 15u) | ((codes[i + 16] & 15u) << 4));
}

void UnpackFifth(uint32_t bits, Codes& codes) {
  for (size_t i = 0; i < kBlockValues; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (((bits >> i) & 1u) << 4));
}

uint32_t PackFifth(const Codes& codes) {
  uint32_t bits = 0;
  for (size_t i = 0; i < kBlockValues; ++i) bits |= static_cast<uint32_t>(codes[i] >> 4) << i;
  return bits;
}

float InverseOf(float d) { return d == 0 ? 0.0f : 1.0f / d; }

// Cut off, not rounded, to a whole number from 0 to `top`; NaN, which a scale without an inverse makes, is 0.
uint8_t ToCode(float value, float top) { return value > 0 ? static_cast<uint8_t>(std::min(value, top)) : uint8_t{0}; }

// Symmetric: the value of largest magnitude lands on the lowest code. Returns d.
float ChooseSymmetric(const float* x, int levels, Codes& codes) {
  const int half = levels / 2;
  float largest = x[0];  // zero keeps its sign
  for (size_t i = 1; i < kBlockValues; ++i)
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  const float d = largest / static_cast<float>(-half);
  const float inverse = InverseOf(d), top = static_cast<float>(levels - 1);
  const float middle = static_cast<float>(half) + 0.5f;
  for (size_t i = 0; i < kBlockValues; ++i) codes[i] = ToCode(x[i] * inverse + middle, top);
  return d;
}

// Affine between the block's least and largest value. Returns {d, m}.
std::pair<float, float> ChooseAffine(const float* x, int levels, Codes& codes) {
  const auto [low, high] = std::minmax_element(x, x + kBlockValues);
  const float m = *low, d = (*high - m) / static_cast<float>(levels - 1);
  const float inverse = InverseOf(d), top = static_cast<float>(levels - 1);
  for (size_t i = 0; i < kBlockValues; ++i) codes[i] = ToCode((x[i] - m) * inverse + 0.5f, top);
  return {d, m};
}

// A format of 4 or 5 bits, with or without a minimum: everything else follows from these two.
template <int kBits, bool kAffine>
struct Blocks {
  static constexpr size_t kFifth = kAffine ? 4 : 2;              // offset of the fifth bits
  static constexpr size_t kLow = kFifth + (kBits == 5 ? 4 : 0);  // offset of the nibbles
  static constexpr size_t kBytes = kLow + 16;
  static constexpr int kLevels = 1 << kBits, kHalf = kLevels / 2;

  static void Decode(const std::byte* row, float* out, size_t cols) {
    Codes codes;
    for (size_t b = 0; b < cols / kBlockValues; ++b, row += kBytes, out += kBlockValues) {
      UnpackNibbles(row + kLow, codes);
      if constexpr (kBits == 5) UnpackFifth(Load<uint32_t>(row + kFifth), codes);
      const float d = LoadHalf(row);
      const float m = kAffine ? LoadHalf(row + 2) : 0.0f;
      for (size_t i = 0; i < kBlockValues; ++i)
        out[i] = kAffine ? d * static_cast<float>(codes[i]) + m : d * static_cast<float>(codes[i] - kHalf);
    }
  }

  static void Encode(const float* in, std::byte* row, size_t cols) {
    Codes codes;
    for (size_t b = 0; b < cols / kBlockValues; ++b, row += kBytes, in += kBlockValues) {
      if constexpr (kAffine) {
        const auto [d, m] = ChooseAffine(in, kLevels, codes);
        StoreHalf(d, row);
        StoreHalf(m, row + 2);
      } else {
        StoreHalf(ChooseSymmetric(in, kLevels, codes), row);
      }
      if constexpr (kBits == 5) Store(PackFifth(codes), row + kFifth);
      PackNibbles(codes, row + kLow);
    }
  }
};

}  // namespace

void DecodeQ8_0(const std::byte* row, float* out, size_t cols) {
  for (size_t b = 0; b < cols / kBlockValues; ++b, row += 34, out += kBlockValues) {
    const float d = LoadHalf(row);
    for (size_t i = 0; i < kBlockValues; ++i) out[i] = static_cast<float>(static_cast<int8_t>(row[2 + i])) * d;
  }
}

void EncodeQ8_0(const float* in, std::byte* row, size_t cols) {
  for (size_t b = 0; b < cols / kBlockValues; ++b, row += 34, in += kBlockValues) {
    float largest = 0;
    for (size_t i = 0; i < kBlockValues; ++i) largest = std::max(largest, std::fabs(in[i]));
    const float d = largest / 127.0f, inverse = InverseOf(d);
    StoreHalf(d, row);
    for (size_t i = 0; i < kBlockValues; ++i) {
      const float code = std::isfinite(inverse) ? std::round(in[i] * inverse) : 0.0f;
      row[2 + i] = static_cast<std::byte>(static_cast<int8_t>(code));
    }
  }
}

void DecodeIQ4_NL(const std::byte* row, float* out, size_t cols) {
  Codes codes;
  for (size_t b = 0; b < cols / kBlockValues; ++b, row += 18, out += kBlockValues) {
    const float d = LoadHalf(row);
    UnpackNibbles(row + 2, codes);
    for (size_t i = 0; i < kBlockValues; ++i) out[i] = d * kIq4Table.values[codes[i]];
  }
}

void DecodeQ4_0(const std::byte* row, float* out, size_t cols) { Blocks<4, false>::Decode(row, out, cols); }
void EncodeQ4_0(const float* in, std::byte* row, size_t cols) { Blocks<4, false>::Encode(in, row, cols); }
void DecodeQ4_1(const std::byte* row, float* out, size_t cols) { Blocks<4, true>::Decode(row, out, cols); }
void EncodeQ4_1(const float* in, std::byte* row, size_t cols) { Blocks<4, true>::Encode(in, row, cols); }
void DecodeQ5_0(const std::byte* row, float* out, size_t cols) { Blocks<5, false>::Decode(row, out, cols); }
void EncodeQ5_0(const float* in, std::byte* row, size_t cols) { Blocks<5, false>::Encode(in, row, cols); }
void DecodeQ5_1(const std::byte* row, float* out, size_t cols) { Blocks<5, true>::Decode(row, out, cols); }
void EncodeQ5_1(const float* in, std::byte* row, size_t cols) { Blocks<5, true>::Encode(in, row, cols); }

}  // namespace qad

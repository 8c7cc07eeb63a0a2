#include "formats/k_blocks.h"

#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "formats/codecs.h"

namespace qad {
namespace {

unsigned At(const std::byte* bytes, size_t i) { return std::to_integer<unsigned>(bytes[i]); }

// Codes of 2 bits, or the upper two of Q6: value i lies in byte 32·(i/128) + i%32, at bits 2·(i/32 % 4).
unsigned TwoBits(const std::byte* bytes, size_t i) {
  return At(bytes, i / 128 * 32 + i % 32) >> (2 * (i / 32 % 4)) & 3;
}

// Nibbles of Q4_K and Q5_K: value i lies in byte 32·(i/64) + i%32, the upper half of each 64 values high.
unsigned Nibble(const std::byte* bytes, size_t i) { return At(bytes, i / 64 * 32 + i % 32) >> (i / 32 % 2 * 4) & 15; }

// Eight scales and eight minimums of 6 bits in 12 bytes: the first four of each whole in the lower six bits of bytes
// 0–3 and 4–7; of the others four bits in bytes 8–11 and two above the first ones. Each serves two sub-blocks.
void UnpackSixBits(const std::byte* bytes, SuperBlock& out) {
  for (size_t j = 0; j < 8; ++j) {
    const unsigned scale = j < 4 ? At(bytes, j) & 63 : (At(bytes, j + 4) & 15) | (At(bytes, j - 4) >> 6) << 4;
    const unsigned minimum = j < 4 ? At(bytes, j + 4) & 63 : At(bytes, j + 4) >> 4 | (At(bytes, j) >> 6) << 4;
    out.scales[2 * j] = out.scales[2 * j + 1] = static_cast<int8_t>(scale);
    out.minimums[2 * j] = out.minimums[2 * j + 1] = static_cast<uint8_t>(minimum);
  }
}

void Unpack2(const std::byte* block, SuperBlock& out) {
  for (size_t i = 0; i < kSuperBlock; ++i) out.codes[i] = static_cast<int8_t>(TwoBits(block + 16, i));
  for (size_t j = 0; j < out.scales.size(); ++j) {
    out.scales[j] = static_cast<int8_t>(At(block, j) & 15);
    out.minimums[j] = static_cast<uint8_t>(At(block, j) >> 4);
  }
  out.d = LoadF16Bits(block + 80);
  out.m = LoadF16Bits(block + 82);
}

// Third bits say whether 4 stays; scale j has its lower four bits in byte j % 8, its upper two in byte 8 + j % 4.
void Unpack3(const std::byte* block, SuperBlock& out) {
  const std::byte *codes = block + 32, *scales = block + 96;
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const unsigned third = At(block, i % 32) >> (i / 32) & 1;
    out.codes[i] = static_cast<int8_t>(static_cast<int>(TwoBits(codes, i) | third << 2) - 4);
  }
  for (size_t j = 0; j < out.scales.size(); ++j) {
    const unsigned low = At(scales, j % 8) >> (j / 8 * 4) & 15, high = At(scales, 8 + j % 4) >> (j / 4 * 2) & 3;
    out.scales[j] = static_cast<int8_t>(static_cast<int>(low | high << 4) - 32);
  }
  out.d = LoadF16Bits(block + 108);
}

void Unpack4(const std::byte* block, SuperBlock& out) {
  for (size_t i = 0; i < kSuperBlock; ++i) out.codes[i] = static_cast<int8_t>(Nibble(block + 16, i));
  UnpackSixBits(block + 4, out);
  out.d = LoadF16Bits(block);
  out.m = LoadF16Bits(block + 2);
}

void Unpack5(const std::byte* block, SuperBlock& out) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const unsigned fifth = At(block + 16, i % 32) >> (i / 32) & 1;
    out.codes[i] = static_cast<int8_t>(Nibble(block + 48, i) | fifth << 4);
  }
  UnpackSixBits(block + 4, out);
  out.d = LoadF16Bits(block);
  out.m = LoadF16Bits(block + 2);
}

// Nibble of value i: byte 64·(i/128) + i%64, the upper half of each 128 values high.
void Unpack6(const std::byte* block, SuperBlock& out) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const unsigned low = At(block, i / 128 * 64 + i % 64) >> (i / 64 % 2 * 4) & 15;
    out.codes[i] = static_cast<int8_t>(static_cast<int>(low | TwoBits(block + 128, i) << 4) - 32);
  }
  std::memcpy(out.scales.data(), block + 192, out.scales.size());
  out.d = LoadF16Bits(block + 208);
}

// The reverse of each, onto zeroed bytes.
void Put(std::byte* bytes, size_t i, unsigned bits) { bytes[i] |= static_cast<std::byte>(bits); }

void PutTwoBits(std::byte* bytes, size_t i, unsigned two) {
  Put(bytes, i / 128 * 32 + i % 32, two << (2 * (i / 32 % 4)));
}

void PutNibble(std::byte* bytes, size_t i, unsigned nibble) {
  Put(bytes, i / 64 * 32 + i % 32, nibble << (i / 32 % 2 * 4));
}

void PutHalf(uint16_t bits, std::byte* at) { std::memcpy(at, &bits, sizeof(bits)); }

void PackSixBits(const SuperBlock& block, std::byte* bytes) {
  for (size_t j = 0; j < 8; ++j) {
    const auto scale = static_cast<unsigned>(block.scales[2 * j]), minimum = unsigned{block.minimums[2 * j]};
    if (j < 4) {
      Put(bytes, j, scale);
      Put(bytes, j + 4, minimum);
    } else {
      Put(bytes, j + 4, (scale & 15) | (minimum & 15) << 4);
      Put(bytes, j - 4, scale >> 4 << 6);
      Put(bytes, j, minimum >> 4 << 6);
    }
  }
}

void Pack2(const SuperBlock& block, std::byte* out) {
  for (size_t i = 0; i < kSuperBlock; ++i) PutTwoBits(out + 16, i, static_cast<unsigned>(block.codes[i]));
  for (size_t j = 0; j < block.scales.size(); ++j)
    Put(out, j, static_cast<unsigned>(block.scales[j]) | unsigned{block.minimums[j]} << 4);
  PutHalf(block.d, out + 80);
  PutHalf(block.m, out + 82);
}

void Pack3(const SuperBlock& block, std::byte* out) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const auto code = static_cast<unsigned>(block.codes[i] + 4);
    PutTwoBits(out + 32, i, code & 3);
    Put(out, i % 32, code >> 2 << (i / 32));
  }
  for (size_t j = 0; j < block.scales.size(); ++j) {
    const auto scale = static_cast<unsigned>(block.scales[j] + 32);
    Put(out + 96, j % 8, (scale & 15) << (j / 8 * 4));
    Put(out + 96, 8 + j % 4, scale >> 4 << (j / 4 * 2));
  }
  PutHalf(block.d, out + 108);
}

void Pack4(const SuperBlock& block, std::byte* out) {
  for (size_t i = 0; i < kSuperBlock; ++i) PutNibble(out + 16, i, static_cast<unsigned>(block.codes[i]));
  PackSixBits(block, out + 4);
  PutHalf(block.d, out);
  PutHalf(block.m, out + 2);
}

void Pack5(const SuperBlock& block, std::byte* out) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const auto code = static_cast<unsigned>(block.codes[i]);
    PutNibble(out + 48, i, code & 15);
    Put(out + 16, i % 32, code >> 4 << (i / 32));
  }
  PackSixBits(block, out + 4);
  PutHalf(block.d, out);
  PutHalf(block.m, out + 2);
}

void Pack6(const SuperBlock& block, std::byte* out) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const auto code = static_cast<unsigned>(block.codes[i] + 32);
    Put(out, i / 128 * 64 + i % 64, (code & 15) << (i / 64 % 2 * 4));
    PutTwoBits(out + 128, i, code >> 4);
  }
  std::memcpy(out + 192, block.scales.data(), block.scales.size());
  PutHalf(block.d, out + 208);
}

void DecodeRow(FormatId format, const std::byte* row, float* out, size_t cols) {
  const auto bytes = static_cast<size_t>(GetFormat(format).block_bytes);
  for (size_t b = 0; b < cols / kSuperBlock; ++b, row += bytes, out += kSuperBlock) {
    const SuperBlock block = UnpackSuperBlock(format, row);
    const float d = F16ToFloat(block.d), m = F16ToFloat(block.m);
    for (size_t i = 0; i < kSuperBlock; ++i) {
      const float scale = d * static_cast<float>(block.scales[i / kSubBlock]);
      const float minimum = m * static_cast<float>(block.minimums[i / kSubBlock]);
      out[i] = scale * static_cast<float>(block.codes[i]) - minimum;
    }
  }
}

}  // namespace

bool IsSuperBlock(FormatId format) { return GetFormat(format).block == static_cast<int>(kSuperBlock); }

SuperBlock UnpackSuperBlock(FormatId format, const std::byte* block) {
  SuperBlock out{};
  switch (format) {
    case FormatId::kQ2_K:
      Unpack2(block, out);
      break;
    case FormatId::kQ3_K:
      Unpack3(block, out);
      break;
    case FormatId::kQ4_K:
      Unpack4(block, out);
      break;
    case FormatId::kQ5_K:
      Unpack5(block, out);
      break;
    case FormatId::kQ6_K:
      Unpack6(block, out);
      break;
    default:
      QAD_CHECK(false);
  }
  return out;
}

void PackSuperBlock(FormatId format, const SuperBlock& block, std::byte* out) {
  std::memset(out, 0, static_cast<size_t>(GetFormat(format).block_bytes));
  switch (format) {
    case FormatId::kQ2_K:
      return Pack2(block, out);
    case FormatId::kQ3_K:
      return Pack3(block, out);
    case FormatId::kQ4_K:
      return Pack4(block, out);
    case FormatId::kQ5_K:
      return Pack5(block, out);
    case FormatId::kQ6_K:
      return Pack6(block, out);
    default:
      QAD_CHECK(false);
  }
}

void DecodeQ2_K(const std::byte* row, float* out, size_t cols) { DecodeRow(FormatId::kQ2_K, row, out, cols); }
void DecodeQ3_K(const std::byte* row, float* out, size_t cols) { DecodeRow(FormatId::kQ3_K, row, out, cols); }
void DecodeQ4_K(const std::byte* row, float* out, size_t cols) { DecodeRow(FormatId::kQ4_K, row, out, cols); }
void DecodeQ5_K(const std::byte* row, float* out, size_t cols) { DecodeRow(FormatId::kQ5_K, row, out, cols); }
void DecodeQ6_K(const std::byte* row, float* out, size_t cols) { DecodeRow(FormatId::kQ6_K, row, out, cols); }

}  // namespace qad

// GGML's super-blocks of 256 values: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K. Source: ggml-quants; decoded values equal to the
// PyPI package `gguf`.
//
//   q2_K  16 × (scale low, minimum high nibble), 64 bytes of 2-bit codes, f16 d, f16 m
//   q3_K  32 bytes of third bits, 64 bytes of 2-bit codes, 16 scales of 6 bits, f16 d
//   q4_K  f16 d, f16 m, 8 × (scale, minimum) of 6 bits, 128 bytes of nibbles
//   q5_K  f16 d, f16 m, 8 × (scale, minimum) of 6 bits, 32 bytes of fifth bits, 128 bytes of nibbles
//   q6_K  128 bytes of nibbles, 64 bytes of upper bits, 16 × i8 scale, f16 d
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace qad {

inline constexpr size_t kSuperBlock = 256;
inline constexpr size_t kSubBlock = 16;  // values of one scale and minimum

// w[i] = d·scale[i/16]·code[i] − m·minimum[i/16]
struct SuperBlock {
  std::array<int8_t, kSuperBlock> codes;
  std::array<int8_t, kSuperBlock / kSubBlock> scales;
  std::array<uint8_t, kSuperBlock / kSubBlock> minimums;
  uint16_t d, m;  // f16
};

bool IsSuperBlock(FormatId format);
// One block of a format for which IsSuperBlock.
SuperBlock UnpackSuperBlock(FormatId format, const std::byte* block);
// The reverse; of q4_K and q5_K scales and minimums come in equal pairs. Codes, scales and minimums are in range.
void PackSuperBlock(FormatId format, const SuperBlock& block, std::byte* out);

}  // namespace qad

// The rows of the format list; each is defined beside its codec. Only format.cc includes this.
#pragma once

#include "formats/format.h"

namespace qad {

#define QAD_CODEC(name)                                             \
  void Decode##name(const std::byte* row, float* out, size_t cols); \
  void Encode##name(const float* in, std::byte* row, size_t cols)

QAD_CODEC(F32);
QAD_CODEC(F16);
QAD_CODEC(BF16);
QAD_CODEC(Int8);
QAD_CODEC(Q8_0);
QAD_CODEC(Q4_0);
QAD_CODEC(Q4_1);
QAD_CODEC(Q5_0);
QAD_CODEC(Q5_1);
#undef QAD_CODEC
void DecodeQ2_K(const std::byte* row, float* out, size_t cols);
void DecodeQ3_K(const std::byte* row, float* out, size_t cols);
void DecodeQ4_K(const std::byte* row, float* out, size_t cols);
void DecodeQ5_K(const std::byte* row, float* out, size_t cols);
void DecodeQ6_K(const std::byte* row, float* out, size_t cols);
void DecodeIQ4_NL(const std::byte* row, float* out, size_t cols);

// GGML type numbers: ggml.h, enum ggml_type.
inline constexpr Format kFormatF32{FormatId::kF32, "f32", 1, 4, 0, 0, DecodeF32, EncodeF32};
inline constexpr Format kFormatF16{FormatId::kF16, "f16", 1, 2, 0, 1, DecodeF16, EncodeF16};
inline constexpr Format kFormatBF16{FormatId::kBF16, "bf16", 1, 2, 0, 30, DecodeBF16, EncodeBF16};
inline constexpr Format kFormatInt8{FormatId::kInt8, "int8", 1, 1, 4, -1, DecodeInt8, EncodeInt8};
inline constexpr Format kFormatQ8_0{FormatId::kQ8_0, "q8_0", 32, 34, 0, 8, DecodeQ8_0, EncodeQ8_0};
inline constexpr Format kFormatQ4_0{FormatId::kQ4_0, "q4_0", 32, 18, 0, 2, DecodeQ4_0, EncodeQ4_0};
inline constexpr Format kFormatQ4_1{FormatId::kQ4_1, "q4_1", 32, 20, 0, 3, DecodeQ4_1, EncodeQ4_1};
inline constexpr Format kFormatQ5_0{FormatId::kQ5_0, "q5_0", 32, 22, 0, 6, DecodeQ5_0, EncodeQ5_0};
inline constexpr Format kFormatQ5_1{FormatId::kQ5_1, "q5_1", 32, 24, 0, 7, DecodeQ5_1, EncodeQ5_1};
inline constexpr Format kFormatQ2_K{FormatId::kQ2_K, "q2_k", 256, 84, 0, 10, DecodeQ2_K, nullptr};
inline constexpr Format kFormatQ3_K{FormatId::kQ3_K, "q3_k", 256, 110, 0, 11, DecodeQ3_K, nullptr};
inline constexpr Format kFormatQ4_K{FormatId::kQ4_K, "q4_k", 256, 144, 0, 12, DecodeQ4_K, nullptr};
inline constexpr Format kFormatQ5_K{FormatId::kQ5_K, "q5_k", 256, 176, 0, 13, DecodeQ5_K, nullptr};
inline constexpr Format kFormatQ6_K{FormatId::kQ6_K, "q6_k", 256, 210, 0, 14, DecodeQ6_K, nullptr};
inline constexpr Format kFormatIQ4_NL{FormatId::kIQ4_NL, "iq4_nl", 32, 18, 0, 20, DecodeIQ4_NL, nullptr};
// Bytes as the tensor says, not the format: TensorSpec::stored_bytes.
inline constexpr Format kFormatGptq{FormatId::kGptq, "gptq", 1, 0, 0, -1, nullptr, nullptr};
inline constexpr Format kFormatAwq{FormatId::kAwq, "awq", 1, 0, 0, -1, nullptr, nullptr};
inline constexpr Format kFormatCompressed{FormatId::kCompressed, "compressed-tensors", 1, 0, 0, -1, nullptr, nullptr};
inline constexpr Format kFormatNf4{FormatId::kNf4, "nf4", 1, 0, 0, -1, nullptr, nullptr};

}  // namespace qad

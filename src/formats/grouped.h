// Whole-number codes in groups of inputs that share a scale and a zero of each output, as GPTQ and AWQ store them:
// w = scale·(code − zero). All pack codes into 32-bit words; GPTQ's and AWQ's tensors are (inputs, outputs), the other
// way round than a planned matrix.
//
//   GPTQ  qweight (inputs·bits/32, outputs): an output's codes one after another, lowest bits first, across words where
//         32 is no multiple of bits; qzeros (groups, outputs·bits/32) likewise along the outputs, less one in files of
//         version 1; scales (groups, outputs) f16, bf16 or f32; g_idx (inputs): the group of each input.
//   AWQ   ("GEMM") qweight (inputs, outputs/8): nibble i of a word is output 8c + [0,2,4,6,1,3,5,7][i]; qzeros (groups,
//         outputs/8) likewise; scales (groups, outputs) as above.
//   compressed-tensors ("pack-quantized")  weight_packed (outputs, inputs·bits/32): codes along the inputs, lowest bits
//         first, across words; weight_zero_point (outputs·bits/32, groups) likewise along the outputs, absent where
//         every zero is the middle code; weight_scale (outputs, groups) as above; weight_g_idx (inputs) or none.
//
// Sources: GPTQModel, AutoAWQ, compressed-tensors; scripts/interop --all reads files of the first and the last and lets
// them read ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qad {

enum class Packing : uint8_t { kGptq, kAwq, kCompressed };
enum class ScaleType : uint8_t { kF16, kBF16, kF32 };

struct GroupCodes {
  int bits = 4;
  size_t rows = 0, cols = 0, group = 0;
  std::vector<uint8_t> codes = {};    // (rows, cols)
  std::vector<uint16_t> scales = {};  // (rows, groups), bits of f16
  std::vector<uint8_t> zeros = {};    // (rows, groups)

  size_t groups() const { return cols / group; }
  float Value(size_t row, size_t col) const;
};

// A stored tensor. Sizes were checked against the files; bytes may lie at any address.
struct GroupedView {
  Packing packing = Packing::kGptq;
  int bits = 4;
  size_t rows = 0, cols = 0, group = 0;  // outputs, inputs
  unsigned zero_offset = 0;              // what stored zeros lack: 1 in version 1 of GPTQ
  const std::byte* codes = nullptr;
  const std::byte* zeros = nullptr;  // null: the middle code
  const std::byte* scales = nullptr;
  ScaleType scale_type = ScaleType::kF16;
  const std::byte* group_of = nullptr;  // i32; null: input / group

  size_t GroupOf(size_t col) const;
  unsigned Code(size_t row, size_t col) const;
  unsigned Zero(size_t row, size_t group) const;
  float Scale(size_t row, size_t group) const;
  uint16_t ScaleBits(size_t row, size_t group) const;  // rounded to f16
  void DecodeRow(size_t row, float* out) const;
  // Whether inputs lie in their groups as they come, which kernels for groups want.
  bool InOrder() const;
  // Whether f16 holds every scale, which kernels for groups want as well.
  bool ScalesAreF16() const;
  // Whether every zero is the middle code.
  bool Symmetric() const;
  size_t groups() const { return cols / group; }
  size_t bytes() const;  // of all its tensors
};

// Words of a packed tensor's dimension of `values` codes.
constexpr size_t PackedWords(size_t values, int bits) { return values * static_cast<size_t>(bits) / 32; }
// Whether a packing can hold a matrix: dimensions fill whole words.
bool CanPack(Packing packing, int bits, size_t rows, size_t cols);

struct PackedGroups {
  std::vector<uint32_t> codes, zeros;
  std::vector<uint16_t> scales;   // (groups, rows); kCompressed: (rows, groups)
  std::vector<int32_t> group_of;  // (cols)
};
PackedGroups PackGroups(const GroupCodes& codes, Packing packing, unsigned zero_offset);

}  // namespace qad

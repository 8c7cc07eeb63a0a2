// NF4 as bitsandbytes stores it: codes of 4 bits that stand for 16 values of a normal distribution (Dettmers et al.
// 2023, appendix E), a scale ("absmax") for each run of `block` values of the flattened (outputs, inputs) matrix. With
// double quantization scales are bytes themselves: scale = offset + map[byte] · absmax of a run of `nested_block` of
// them. Source: bitsandbytes, QuantState.as_dict; scripts/interop --all reads its files and lets it read ours.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qad {

inline constexpr size_t kNestedMap = 256;

// A stored tensor. Sizes were checked against the files; bytes may lie at any address.
struct Nf4View {
  size_t rows = 0, cols = 0, block = 64;
  const std::byte* codes = nullptr;   // two a byte, the first one high
  const std::byte* absmax = nullptr;  // f32, or bytes where nested
  const std::byte* nested_absmax = nullptr;
  const std::byte* nested_map = nullptr;  // kNestedMap f32
  size_t nested_block = 256;
  float offset = 0;
  size_t stored_bytes = 0;  // of all its tensors

  unsigned Code(size_t i) const;  // of value i of the flattened matrix
  float Scale(size_t block_index) const;
  void DecodeRow(size_t row, float* out) const;
};

const std::array<float, 16>& Nf4Values();
// The 256 values that bitsandbytes maps bytes of scales to: seven decades, each twice as fine as the one below.
const std::array<float, kNestedMap>& DynamicMap();

// Scales as bytes and back.
struct NestedScales {
  std::vector<uint8_t> bytes;
  std::vector<float> absmax;  // of each nested_block
  float offset = 0;
  float Scale(size_t block_index, size_t nested_block) const;
};
NestedScales NestScales(std::span<const float> scales, size_t nested_block);

}  // namespace qad

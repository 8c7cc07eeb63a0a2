// How weights are stored: one codec per format, and the one list of them. A format says how codes lie in bytes and what
// they decode to; which codes to store is a solver's business (quantize/), how they are multiplied is ops/ and
// kernels/.
//
// A matrix (rows, cols) is stored row by row; each row is `RowBytes(cols)` bytes. Block formats cut a row into blocks
// of `block` values. Encoders want finite values (what is NaN or infinite is for the caller to refuse). Sources: GGUF
// types as in ggml's quants (checked against the PyPI package `gguf` in testdata/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace qad {

enum class FormatId : uint8_t {
  kF32,
  kF16,
  kBF16,
  kInt8,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kGptq,
  kAwq,
  kCompressed,
  kNf4
};

struct Format {
  FormatId id;
  std::string_view name;  // "f32", "q4_1": as shown and as accepted in options
  int block;              // values per block; a row's length must be a multiple
  int block_bytes;
  int row_extra_bytes;  // bytes per row beside the blocks (int8: the row's f32 scale, after the codes)
  int gguf_type;        // GGML type number, or -1
  // Null: no format of rows (GPTQ, AWQ: formats/grouped.h).
  void (*decode_row)(const std::byte* row, float* out, size_t cols);
  void (*encode_row)(const float* in, std::byte* row,
                     size_t cols);  // null: no plain encoder (quantize/ggml_grid searches)

  bool Divides(size_t cols) const { return cols % static_cast<size_t>(block) == 0; }
  size_t RowBytes(size_t cols) const {
    return cols / static_cast<size_t>(block) * static_cast<size_t>(block_bytes) + static_cast<size_t>(row_extra_bytes);
  }
  double BitsPerWeight() const { return 8.0 * block_bytes / block; }
};

std::span<const Format> AllFormats();
const Format& GetFormat(FormatId id);
const Format* FindFormat(std::string_view name);   // case-insensitive; null where unknown
const Format* FindGgufFormat(uint32_t gguf_type);  // null where unknown

}  // namespace qad

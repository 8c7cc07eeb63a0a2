// Runtime layouts of weight matrices, and products of one to a few rows with them. The many stored formats are repacked
// at load into these few (model/weights); the decoded values are equal.
//
// A matrix is (rows = outputs, cols = inputs). Dense layouts are row-major: row r starts at codes + r·stride_bytes. The
// integer layouts go in tiles of 16 rows (kernels/tiles.h), the last one filled up with rows of zeros.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

enum class Layout : uint8_t {
  kF32,
  kF16,
  kBF16,
  kInt8Row,    // int8 codes, one f32 scale a row: w = scale·q
  kInt8Block,  // int8 codes in blocks of 32, an f16 pair (scale, offset) a block: w = scale·q + offset
  kInt5Block,  // 5-bit codes 0…31 in blocks of 32, likewise
  kInt4Block,  // 4-bit codes 0…15 in blocks of 32, likewise
};

inline constexpr size_t kBlock = 32;
inline constexpr size_t kTileRows = 16;

inline bool IsInteger(Layout layout) { return layout >= Layout::kInt8Row; }

struct MatrixView {
  Layout layout = Layout::kF32;
  size_t rows = 0, cols = 0;
  const std::byte* codes = nullptr;
  size_t stride_bytes = 0;
  const float* row_scales = nullptr;      // kInt8Row: (rows), filled up to whole tiles
  const uint16_t* block_pairs = nullptr;  // block layouts: (tiles, cols/32, 2, 16) f16: scales, then offsets
};

// Rows as they are stored: whole tiles of the integer layouts.
size_t LayoutRows(Layout layout, size_t rows);

// Bytes of one row of codes, padded where the kernels want whole blocks.
size_t LayoutRowBytes(Layout layout, size_t cols);
// Bytes of scales and offsets beside the codes of one row.
size_t LayoutScaleBytes(Layout layout, size_t cols);
const char* LayoutName(Layout layout);

// Puts a row's codes and, for block layouts, its (scale, offset) pairs into an integer matrix. Codes of int8: one a
// byte. Int4: byte i of a block's 16 holds values i and, high, i+16. Int5: before these a u32, whose bit i is the fifth
// of value i. Rows may be put at the same time.
void PlaceRow(const MatrixView& matrix, size_t row, const std::byte* codes, const uint16_t* pairs);

// Row `row` decoded to `cols` floats.
void DecodeRow(const MatrixView& matrix, size_t row, float* out);
// Rows begin … begin+count decoded to bf16, rounded to nearest even: out is (count, cols). For kInt8Row the codes
// themselves (exact in bf16), without the row's scale.
void DecodeRowsBF16(const MatrixView& matrix, size_t begin, size_t count, uint16_t* out);

// y[m·ldy + r] = Σ_k x[m·ldx + k]·w[r][k] for rows begin ≤ r < end and m < count, in f32.
void DotRows(const MatrixView& matrix, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
             size_t ldy);

// out[m·ldo + i] = Σ_r weights[m·ldw + r]·matrix[r][i] for m < count: sums of the rows of an f32 or f16 matrix.
void WeightedSums(const MatrixView& matrix, const float* weights, size_t count, size_t ldw, float* out, size_t ldo);

// Activations as int8 in blocks of 32: x ≈ scale·q, scale = max|x|/127 per block; the last block is filled with zeros.
struct QuantizedRows {
  const int8_t* codes = nullptr;    // (count, blocks·32)
  const float* pairs = nullptr;     // (count, blocks, 2): scale, and scale·Σq for the offsets
  const int32_t* shifts = nullptr;  // (count, blocks): −128·Σq, which makes up for weights taken as unsigned
  size_t count = 0, blocks = 0;
};
// Writes ⌈cols/32⌉ blocks of one row of `cols` values. A value that is not finite makes its block's pair so.
void QuantizeActivations(const float* x, size_t cols, int8_t* codes, float* pairs, int32_t* shifts);

// As DotRows, for the integer layouts, by integer dot products; y of row r at y[m·ldy + r]. Quickest where begin and
// end are multiples of kTileRows.
void DotRowsInt8(const MatrixView& matrix, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy);

void ConvertToBF16(const float* in, uint16_t* out, size_t n);
void ConvertFromBF16(const uint16_t* in, float* out, size_t n);
void ConvertToF16(const float* in, uint16_t* out, size_t n);
void ConvertFromF16(const uint16_t* in, float* out, size_t n);

}  // namespace qad

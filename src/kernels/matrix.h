// Runtime layouts of weight matrices, and products of one to a few rows with them. The many stored formats are repacked
// at load into these few (model/weights); the decoded values are equal.
//
// A matrix is (rows = outputs, cols = inputs). In layouts up to kQ4_0 row r starts at codes + r·stride_bytes. The
// others go in tiles of 16 rows (kernels/tiles.h), the last one filled up with rows of zeros.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

enum class Layout : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,       // rows as GGUF stores them, blocks of 32: what is written a row at a time, as keys and values are
  kQ4_0,       // likewise
  kBF16Tile,   // pairs of inputs of 16 rows side by side
  kInt8Row,    // int8 codes, one f32 scale a row: w = scale·q
  kInt8Block,  // int8 codes in blocks of 32, an f16 pair (scale, offset) a block: w = scale·q + offset
  kInt5Block,  // 5-bit codes 0…31 in blocks of 32, likewise
  kInt4Block,  // 4-bit codes 0…15 in blocks of 32, likewise
  // 4-bit codes in groups of one, two or four blocks of 32 (MatrixView::group_shift), the last group perhaps shorter.
  kInt4Zero,  // an f16 pair (scale, zero) a group, zero whole: w = scale·(q − zero)
  // An f32 scale a group: w = scale·t[q], t a table of 16 values.
  kNf4,       // those of Dettmers et al. 2023, appendix E, which DotRowsInt8 rounds to 1/127
  kIq4Block,  // the whole numbers of GGUF's IQ4_NL
  // Super-blocks of 256 with an f16 pair (d, m): w = d·s·q + m·n, s and n small integers.
  kInt6Super,  // codes −32 … 31, a byte each, s of int8 and n of uint8 for every 16
  kInt5Super,  // 5-bit codes, s and n of uint8 for every 32
  kInt4Super,  // 4-bit codes, likewise
};

inline constexpr size_t kBlock = 32;
inline constexpr size_t kBlocksPerSuper = 8;  // blocks of a super-block
inline constexpr size_t kTileRows = 16;

constexpr bool IsTiled(Layout layout) { return layout >= Layout::kBF16Tile; }
constexpr bool IsInteger(Layout layout) { return layout >= Layout::kInt8Row; }
// Bytes of a block of a row, where rows are made of blocks.
inline constexpr size_t kQ8Bytes = 34, kQ4Bytes = 18;  // an f16 scale, then codes: int8, or byte i holds i and i + 16

struct MatrixView {
  Layout layout = Layout::kF32;
  size_t rows = 0, cols = 0;
  const std::byte* codes = nullptr;
  size_t stride_bytes = 0;
  const float* row_scales = nullptr;        // kInt8Row: (rows), filled up to whole tiles
  const std::byte* block_scales = nullptr;  // tiles of blocks: as kernels/tiles.h says
  uint8_t group_shift = 0;                  // kInt4Zero, tables: log2 of the blocks that share a scale
  const uint16_t* in_parts = nullptr;       // kF32: its panels of bf16, each followed by what it leaves, or null
};

// Rows as they are stored: whole tiles.
size_t LayoutRows(Layout layout, size_t rows);

// Bytes of one row of codes, padded where the kernels want whole blocks.
size_t LayoutRowBytes(Layout layout, size_t cols);
// Bytes of scales and offsets beside the codes of one row.
size_t LayoutScaleBytes(Layout layout, size_t cols, uint8_t group_shift);
const char* LayoutName(Layout layout);

// Puts a row's codes and, for block layouts, its LayoutScaleBytes of scales into a matrix of tiles. Rows may be put at
// the same time.
// Codes of bf16: the row. Int8: one a byte. Int4: byte i of a block's 16 holds values i and, high, i+16. Int5: before
// these a u32, whose bit i is the fifth of value i. Scales: what the layout says of each block or group. Super-blocks:
// d and m in f16, then of each block s and n; int6: s of its first and its second half, then the n of both.
void PlaceRow(const MatrixView& matrix, size_t row, const std::byte* codes, const std::byte* scales);

// Rows one after another.
inline MatrixView F32View(const float* data, size_t rows, size_t cols) {
  return {.layout = Layout::kF32,
          .rows = rows,
          .cols = cols,
          .codes = reinterpret_cast<const std::byte*>(data),
          .stride_bytes = cols * sizeof(float)};
}
inline MatrixView BF16View(const uint16_t* data, size_t rows, size_t cols) {
  return {.layout = Layout::kBF16,
          .rows = rows,
          .cols = cols,
          .codes = reinterpret_cast<const std::byte*>(data),
          .stride_bytes = cols * sizeof(uint16_t)};
}

// Row `row` decoded to `cols` floats.
void DecodeRow(const MatrixView& matrix, size_t row, float* out);

// y[m·ldy + r] = Σ_k x[m·ldx + k]·w[r][k] for rows begin ≤ r < end and m < count, in f32.
void DotRows(const MatrixView& matrix, size_t begin, size_t end, const float* x, size_t count, size_t ldx, float* y,
             size_t ldy);

// out[m·ldo + i] = Σ_r weights[m·ldw + r]·matrix[r][i] for m < count: sums of rows. Not for tiles.
void WeightedSums(const MatrixView& matrix, const float* weights, size_t count, size_t ldw, float* out, size_t ldo);

// Activations as int8 in blocks of 32: x ≈ scale·q, scale = max|x|/127 per block; the last block is filled with zeros.
// Rows go in strips of 16, the last one shorter; a strip holds block after block, of each all its rows. So a kernel
// that multiplies a strip walks through it as it lies.
struct QuantizedRows {
  static constexpr size_t kStrip = 16;
  int8_t* codes = nullptr;  // (all blocks, 32)
  float* pairs = nullptr;   // (all blocks, 2): scale, and scale·Σq for the offsets
  // (all blocks, 2): −128·Σq of each half, which makes up for weights taken as unsigned
  int32_t* shifts = nullptr;
  size_t count = 0, blocks = 0;  // rows, and blocks of each
  // Rows of the strip of row m, which is how far block b + 1 of a row is behind its block b.
  size_t StripRows(size_t m) const {
    const size_t left = count - m / kStrip * kStrip;
    return left < kStrip ? left : kStrip;
  }
  // Where block b of row m is; that of row m + 1 of the same strip is the next.
  size_t At(size_t m, size_t b) const { return m / kStrip * kStrip * blocks + b * StripRows(m) + m % kStrip; }
  // scale·Σq of one half of the block at `at`.
  float HalfSum(size_t at, size_t half) const {
    return pairs[2 * at] * (static_cast<float>(shifts[2 * at + half]) * -0x1p-7f);
  }
};
// Writes row m of `to` from `cols` values. A value that is not finite makes its block's pair so.
void QuantizeActivations(const float* x, size_t cols, const QuantizedRows& to, size_t m);

// As DotRows, for the integer layouts, by integer dot products; y of row r at y[m·ldy + r]. Quickest where begin and
// end are multiples of kTileRows.
void DotRowsInt8(const MatrixView& matrix, size_t begin, size_t end, const QuantizedRows& x, float* y, size_t ldy);

// Whether DotRowsInt8 outruns products of decoded weights in f32 on this CPU, however many rows are multiplied.
bool Int8OutrunsF32(Layout layout);

void ConvertToBF16(const float* in, uint16_t* out, size_t n);
void ConvertFromBF16(const uint16_t* in, float* out, size_t n);
void ConvertToF16(const float* in, uint16_t* out, size_t n);
void ConvertFromF16(const uint16_t* in, float* out, size_t n);

}  // namespace qad

// Where the layouts in tiles have their codes and scales: rows go in tiles of 16, so that a vector holds one sum of
// each row and no sum is taken across lanes.
//
// A tile of bf16 is a sequence of pairs of columns: 16 rows of two values, 64 bytes; an odd column is followed by
// zeros.
//
// A tile of integers is a sequence of blocks of 32 columns. A block is 16-byte columns of 64 bytes each: bytes 4r …
// 4r+3 of column j belong to row r of the tile. Int8: values 4j … 4j+3. Int4: values 8j … 8j+3 in the low halves, 8j+4
// … 8j+7 in the high ones. Int5: likewise, then a column of fifth bits: that of value 4j+t is bit (j+4) % 8 of byte t,
// from where one shift brings it above the other four.
//
// Beside the codes each block has 16 scales and 16 offsets in f16 (kInt8Row: one f32 scale a row); each group of
// kInt4Zero 16 scales and 16 zeros in f16, of tables 16 scales in f32. A super-block has 16
// d and 16 m in f16, and then each of its blocks 16 s and 16 n; int6: 16 s of the first halves, 16 of the second, and
// likewise n.
#pragma once

#include <cstring>

#include "base/half.h"
#include "kernels/matrix.h"

namespace qad {

inline constexpr size_t kTileColumn = 4 * kTileRows;  // bytes of one column of a block
inline constexpr size_t kTilePairs = 2 * kTileRows;   // scales and offsets of one block

inline constexpr size_t kPairBytes = 2 * sizeof(uint16_t);
constexpr size_t InputPairs(size_t cols) { return (cols + 1) / 2; }
// Columns i and i + 1 of a row of bf16, i even.
inline const std::byte* PairAt(const MatrixView& w, size_t row, size_t i) {
  return w.codes + row / kTileRows * kTileRows * w.stride_bytes + (i / 2 * kTileRows + row % kTileRows) * kPairBytes;
}

// Of one row of a block.
constexpr size_t CodeBytes(Layout layout) {
  if (layout >= Layout::kInt4Block && layout <= Layout::kIq4Block) return kBlock / 2;
  if (layout == Layout::kInt4Super) return kBlock / 2;
  return layout == Layout::kInt5Block || layout == Layout::kInt5Super ? kBlock * 5 / 8 : kBlock;
}
// Codes 0 … 15 or 31 packed to four or five bits, not signed bytes.
constexpr bool IsUnsigned(Layout layout) { return CodeBytes(layout) < kBlock; }
constexpr bool HasFifth(Layout layout) { return CodeBytes(layout) == kBlock * 5 / 8; }
constexpr bool IsSuper(Layout layout) { return layout >= Layout::kInt6Super; }
// Parts of a block that have scales of their own.
constexpr size_t ScaledParts(Layout layout) { return layout == Layout::kInt6Super ? 2 : 1; }
// Of a row's super-block: d, m, and s and n of each part.
constexpr size_t SuperBytes(Layout layout) { return 4 + kBlocksPerSuper * 2 * ScaledParts(layout); }

// Block `block` of the tile that `row` lies in.
inline const std::byte* TileBlock(const MatrixView& w, size_t row, size_t block) {
  return w.codes + row / kTileRows * kTileRows * w.stride_bytes + block * kTileRows * CodeBytes(w.layout);
}

inline constexpr size_t kGroupBytes = kTilePairs * sizeof(uint16_t);  // scales of a group, of all its rows
constexpr size_t Groups(size_t blocks, uint8_t shift) { return (blocks + (size_t{1} << shift) - 1) >> shift; }
// Of the group of a block.
inline const std::byte* TileGroup(const MatrixView& w, size_t row, size_t block) {
  const size_t tile = row / kTileRows * Groups(w.cols / kBlock, w.group_shift);
  return w.block_scales + (tile + (block >> w.group_shift)) * kGroupBytes;
}
inline const uint16_t* TilePairs(const MatrixView& w, size_t row, size_t block) {
  return reinterpret_cast<const uint16_t*>(TileGroup(w, row, block));
}
inline const float* TileFloats(const MatrixView& w, size_t row, size_t block) {
  return reinterpret_cast<const float*>(TileGroup(w, row, block));
}

// What the codes of a table stand for, as it is and as integer products take it: step·bytes[q].
struct CodeTable {
  alignas(64) float values[16];
  alignas(16) int8_t bytes[16];
  float step;
};
constexpr CodeTable MakeTable(const float (&values)[16], float step) {
  CodeTable table{};
  for (size_t i = 0; i < 16; ++i) {
    table.values[i] = values[i];
    table.bytes[i] = static_cast<int8_t>(values[i] / step + (values[i] < 0 ? -0.5f : 0.5f));
  }
  table.step = step;
  return table;
}
inline constexpr CodeTable kNf4Table = MakeTable(
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
     -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
     0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
    1.0f / 127);
inline constexpr CodeTable kIq4Table =
    MakeTable({-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, 1);
constexpr bool IsTable(Layout layout) { return layout == Layout::kNf4 || layout == Layout::kIq4Block; }
constexpr const CodeTable& TableOf(Layout layout) { return layout == Layout::kNf4 ? kNf4Table : kIq4Table; }
// Whether integer products take codes as signed bytes, which kernels for unsigned ones add something to.
constexpr bool TakesSignedBytes(Layout layout) { return !IsUnsigned(layout) || IsTable(layout); }

// Where the scales of a block of a super-block layout lie.
struct SuperScales {
  const uint16_t* pairs;  // 16 d, 16 m
  const uint8_t* parts;   // 16 s for each part, then 16 n for each
};
inline SuperScales TileSuper(const MatrixView& w, size_t row, size_t block) {
  const size_t super = row / kTileRows * (w.cols / (kBlock * kBlocksPerSuper)) + block / kBlocksPerSuper;
  const std::byte* at = w.block_scales + super * kTileRows * SuperBytes(w.layout);
  return {reinterpret_cast<const uint16_t*>(at), reinterpret_cast<const uint8_t*>(at) + kTilePairs * sizeof(uint16_t) +
                                                     block % kBlocksPerSuper * 2 * ScaledParts(w.layout) * kTileRows};
}
// An s: a signed byte where codes are.
inline int SuperFactor(Layout layout, uint8_t byte) {
  return IsUnsigned(layout) ? byte : static_cast<int>(static_cast<int8_t>(byte));
}

// Values of a part of a row's block are scale·q + offset, or of tables scale·t[q].
struct Affine {
  float scale, offset;
};
inline Affine AffineOf(const MatrixView& w, size_t row, size_t block, size_t part) {
  const size_t r = row % kTileRows;
  if (w.layout == Layout::kInt8Row) return {w.row_scales[row], 0};
  if (IsTable(w.layout)) return {TileFloats(w, row, block)[r], 0};
  if (!IsSuper(w.layout)) {
    const uint16_t* pairs = TilePairs(w, row, block);
    const float scale = F16ToFloat(pairs[r]), second = F16ToFloat(pairs[kTileRows + r]);
    return {scale, w.layout == Layout::kInt4Zero ? -scale * second : second};
  }
  const SuperScales scales = TileSuper(w, row, block);
  const uint8_t* at = scales.parts + part * kTileRows + r;
  return {F16ToFloat(scales.pairs[r]) * static_cast<float>(SuperFactor(w.layout, *at)),
          F16ToFloat(scales.pairs[kTileRows + r]) * static_cast<float>(at[ScaledParts(w.layout) * kTileRows])};
}

// How far the fifth bits of values 4j … 4j+3 are shifted to the right to stand at 0x10 of their bytes; left where
// negative.
constexpr int FifthShift(int j) { return j < 4 ? j : j - 8; }

// The 32 codes of one row's block, in the order of the columns.
inline void ReadBlock(const MatrixView& w, size_t row, size_t block, int8_t* codes) {
  const std::byte* column = TileBlock(w, row, block) + 4 * (row % kTileRows);
  if (!IsUnsigned(w.layout)) {
    for (size_t i = 0; i < kBlock; i += 4, column += kTileColumn) std::memcpy(codes + i, column, 4);
    return;
  }
  constexpr uint32_t kLow = 0x0f0f0f0f, kFifth = 0x10101010;
  uint32_t fifth = 0;
  if (HasFifth(w.layout)) std::memcpy(&fifth, column + kBlock / 8 * kTileColumn, sizeof(fifth));
  for (int j = 0; j < 8; j += 2, column += kTileColumn, codes += 8) {
    uint32_t both;
    std::memcpy(&both, column, sizeof(both));
    for (int half = 0; half < 2; ++half) {
      const int shift = FifthShift(j + half);
      const uint32_t high = shift >= 0 ? fifth >> shift : fifth << -shift;
      const uint32_t four = (both >> (4 * half) & kLow) | (high & kFifth);
      std::memcpy(codes + 4 * half, &four, sizeof(four));
    }
  }
}

}  // namespace qad

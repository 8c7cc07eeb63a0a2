// Where codes and scales of the integer layouts lie: rows go in tiles of 16, so that a vector holds one sum of each row
// and no sum is taken across lanes.
//
// A tile is a sequence of blocks of 32 columns. A block is 16-byte columns of 64 bytes each: bytes 4r … 4r+3 of column
// j belong to row r of the tile. Int8: values 4j … 4j+3. Int4: values 8j … 8j+3 in the low halves, 8j+4 … 8j+7 in the
// high ones. Int5: likewise, then a column of fifth bits: that of value 4j+t is bit (j+4) % 8 of byte t, from where one
// shift brings it above the other four. Beside the codes each block has 16 scales and 16 offsets in f16 (kInt8Row: one
// f32 scale a row).
#pragma once

#include <cstring>

#include "kernels/matrix.h"

namespace qad {

inline constexpr size_t kTileColumn = 4 * kTileRows;  // bytes of one column of a block
inline constexpr size_t kTilePairs = 2 * kTileRows;   // scales and offsets of one block

// Of one row of a block.
constexpr size_t CodeBytes(Layout layout) {
  return layout == Layout::kInt4Block ? kBlock / 2 : layout == Layout::kInt5Block ? kBlock * 5 / 8 : kBlock;
}
// Codes 0 … 15 or 31, not signed bytes.
constexpr bool IsUnsigned(Layout layout) { return layout == Layout::kInt4Block || layout == Layout::kInt5Block; }

// Block `block` of the tile that `row` lies in.
inline const std::byte* TileBlock(const MatrixView& w, size_t row, size_t block) {
  return w.codes + row / kTileRows * kTileRows * w.stride_bytes + block * kTileRows * CodeBytes(w.layout);
}
inline const uint16_t* TilePairs(const MatrixView& w, size_t row, size_t block) {
  return w.block_pairs + (row / kTileRows * (w.cols / kBlock) + block) * kTilePairs;
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
  if (w.layout == Layout::kInt5Block) std::memcpy(&fifth, column + kBlock / 8 * kTileColumn, sizeof(fifth));
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

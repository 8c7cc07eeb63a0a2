// Where codes and scales of the integer layouts lie: rows go in tiles of 16, so that a vector holds one sum of each row
// and no sum is taken across lanes.
//
// A tile is a sequence of blocks of 32 columns. A block is 16-byte columns of 64 bytes each: bytes 4r … 4r+3 of column
// j belong to row r of the tile. Int8: values 4j … 4j+3. Int4: values 8j … 8j+3 in the low halves, 8j+4 … 8j+7 in the
// high ones. Beside the codes each block has 16 scales and 16 offsets in f16 (kInt8Row: one f32 scale a row).
#pragma once

#include <cstring>

#include "kernels/matrix.h"

namespace qad {

inline constexpr size_t kTileColumn = 4 * kTileRows;  // bytes of one column of a block
inline constexpr size_t kTilePairs = 2 * kTileRows;   // scales and offsets of one block

inline size_t CodeBytes(Layout layout) {
  return layout == Layout::kInt4Block ? kBlock / 2 : kBlock;
}  // of a row's block

// Block `block` of the tile that `row` lies in.
inline const std::byte* TileBlock(const MatrixView& w, size_t row, size_t block) {
  return w.codes + row / kTileRows * kTileRows * w.stride_bytes + block * kTileRows * CodeBytes(w.layout);
}
inline const uint16_t* TilePairs(const MatrixView& w, size_t row, size_t block) {
  return w.block_pairs + (row / kTileRows * (w.cols / kBlock) + block) * kTilePairs;
}

// The 32 codes of one row's block, in the order of the columns.
inline void ReadBlock(const MatrixView& w, size_t row, size_t block, int8_t* codes) {
  const std::byte* column = TileBlock(w, row, block) + 4 * (row % kTileRows);
  constexpr uint32_t kLow = 0x0f0f0f0f;
  uint32_t four;
  for (size_t i = 0; i < kBlock; column += kTileColumn) {
    std::memcpy(&four, column, sizeof(four));
    if (w.layout == Layout::kInt4Block) {
      const uint32_t low = four & kLow, high = four >> 4 & kLow;
      std::memcpy(codes + i, &low, sizeof(low));
      std::memcpy(codes + i + 4, &high, sizeof(high));
      i += 8;
    } else {
      std::memcpy(codes + i, &four, sizeof(four));
      i += 4;
    }
  }
}

}  // namespace qad

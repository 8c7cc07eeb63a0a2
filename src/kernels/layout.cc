// Sizes and names of the runtime layouts, and how a row gets into them: the part of matrix.h that needs no vectors.
#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "base/error.h"
#include "kernels/matrix.h"
#include "kernels/tiles.h"

namespace qad {
namespace {

size_t Blocks(size_t cols) { return (cols + kBlock - 1) / kBlock; }

}  // namespace

size_t LayoutRowBytes(Layout layout, size_t cols) {
  switch (layout) {
    case Layout::kF32:
      return cols * 4;
    case Layout::kF16:
    case Layout::kBF16:
      return cols * 2;
    case Layout::kQ8_0:
      return Blocks(cols) * kQ8Bytes;
    case Layout::kQ4_0:
      return Blocks(cols) * kQ4Bytes;
    case Layout::kBF16Tile:
      return InputPairs(cols) * kPairBytes;
    default:
      return Blocks(cols) * CodeBytes(layout);
  }
}

size_t LayoutRows(Layout layout, size_t rows) {
  return IsTiled(layout) ? (rows + kTileRows - 1) / kTileRows * kTileRows : rows;
}

namespace {

// Nibbles, and before them the fifth bits of int5, to where the tile wants them.
void PlaceUnsigned(Layout layout, const std::byte* from, std::byte* to) {
  uint32_t bits = 0;
  if (HasFifth(layout)) {
    std::memcpy(&bits, from, sizeof(bits));
    from += sizeof(bits);
  }
  const auto value = [&](size_t i) {
    const auto byte = std::to_integer<unsigned>(from[i % 16]);
    return i < 16 ? byte & 15 : byte >> 4;
  };
  for (size_t i = 0; i < kBlock; i += 8)
    for (size_t t = 0; t < 4; ++t)
      to[i / 8 * kTileColumn + t] = static_cast<std::byte>(value(i + t) | value(i + t + 4) << 4);
  if (!HasFifth(layout)) return;
  std::byte* fifth = to + kBlock / 8 * kTileColumn;
  for (size_t t = 0; t < 4; ++t) {
    unsigned byte = 0;
    for (size_t j = 0; j < 8; ++j) byte |= (bits >> (4 * j + t) & 1u) << (j + 4) % 8;
    fifth[t] = static_cast<std::byte>(byte);
  }
}

bool HoldsSixBits(const std::byte* codes) {
  return std::all_of(codes, codes + kBlock, [](std::byte code) {
    const auto value = std::to_integer<int8_t>(code);
    return value >= -32 && value < 32;
  });
}

// Each group's pair of f16, or of tables its f32.
void PlaceGroups(const MatrixView& matrix, size_t row, const std::byte* from) {
  for (size_t b = 0; b < matrix.cols / kBlock; b += size_t{1} << matrix.group_shift, from += kGroupBytes / kTileRows) {
    if (IsTable(matrix.layout)) {
      std::memcpy(const_cast<float*>(TileFloats(matrix, row, b)) + row % kTileRows, from, sizeof(float));
      continue;
    }
    auto* to = const_cast<uint16_t*>(TilePairs(matrix, row, b)) + row % kTileRows;
    std::memcpy(to, from, sizeof(uint16_t));
    std::memcpy(to + kTileRows, from + sizeof(uint16_t), sizeof(uint16_t));
  }
}

void PlaceSuperScales(const MatrixView& matrix, size_t row, const std::byte* from) {
  const size_t parts = 2 * ScaledParts(matrix.layout), r = row % kTileRows;
  for (size_t b = 0; b < matrix.cols / kBlock; ++b) {
    const SuperScales to = TileSuper(matrix, row, b);
    if (b % kBlocksPerSuper == 0)
      for (const size_t which : {0, 1}) {
        std::memcpy(const_cast<uint16_t*>(to.pairs) + which * kTileRows + r, from, sizeof(uint16_t));
        from += sizeof(uint16_t);
      }
    for (size_t part = 0; part < parts; ++part, ++from)
      const_cast<uint8_t*>(to.parts)[part * kTileRows + r] = std::to_integer<uint8_t>(*from);
  }
}

}  // namespace

void PlaceRow(const MatrixView& matrix, size_t row, const std::byte* codes, const std::byte* scales) {
  QAD_CHECK(IsTiled(matrix.layout));
  if (matrix.layout == Layout::kBF16Tile) {
    for (size_t i = 0; i < matrix.cols; i += 2) {
      uint16_t pair[2] = {};  // an odd column is followed by a zero
      std::memcpy(pair, codes + i * sizeof(uint16_t), std::min<size_t>(2, matrix.cols - i) * sizeof(uint16_t));
      std::memcpy(const_cast<std::byte*>(PairAt(matrix, row, i)), pair, sizeof(pair));
    }
    return;
  }
  const size_t bytes = CodeBytes(matrix.layout);
  for (size_t b = 0; b * kBlock < matrix.cols; ++b) {
    const std::byte* from = codes + b * bytes;
    QAD_CHECK(matrix.layout != Layout::kInt6Super || HoldsSixBits(from));
    auto* to = const_cast<std::byte*>(TileBlock(matrix, row, b)) + 4 * (row % kTileRows);
    if (IsUnsigned(matrix.layout))
      PlaceUnsigned(matrix.layout, from, to);
    else
      for (size_t i = 0; i < kBlock; i += 4) std::memcpy(to + i / 4 * kTileColumn, from + i, 4);
  }
  if (IsSuper(matrix.layout))
    PlaceSuperScales(matrix, row, scales);
  else if (scales != nullptr)
    PlaceGroups(matrix, row, scales);
}

size_t LayoutScaleBytes(Layout layout, size_t cols, uint8_t group_shift) {
  if (layout == Layout::kInt8Row) return sizeof(float);
  if (IsSuper(layout)) return cols / (kBlock * kBlocksPerSuper) * SuperBytes(layout);
  return IsInteger(layout) ? Groups(cols / kBlock, group_shift) * (kGroupBytes / kTileRows) : 0;
}

const char* LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kF32:
      return "f32";
    case Layout::kF16:
      return "f16";
    case Layout::kBF16:
      return "bf16";
    case Layout::kQ8_0:
      return "q8_0";
    case Layout::kQ4_0:
      return "q4_0";
    case Layout::kBF16Tile:
      return "bf16 in tiles";
    case Layout::kInt8Row:
      return "int8 per row";
    case Layout::kInt8Block:
      return "int8 affine by 32";
    case Layout::kInt5Block:
      return "int5 affine by 32";
    case Layout::kInt4Block:
      return "int4 affine by 32";
    case Layout::kInt4Zero:
      return "int4 with zeros";
    case Layout::kNf4:
      return "nf4";
    case Layout::kIq4Block:
      return "iq4_nl";
    case Layout::kInt6Super:
      return "int6 affine by 16 in 256";
    case Layout::kInt5Super:
      return "int5 affine by 32 in 256";
    case Layout::kInt4Super:
      return "int4 affine by 32 in 256";
  }
  return "?";
}

}  // namespace qad

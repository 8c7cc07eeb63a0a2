// Random matrices in every runtime layout, with what they decode to. For tests and micro-benchmarks only.
#pragma once

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "kernels/matrix.h"
#include "kernels/tiles.h"

namespace qad {

inline constexpr Layout kAllLayouts[] = {
    Layout::kBF16Tile, Layout::kF32,       Layout::kF16,       Layout::kBF16,      Layout::kQ8_0,     Layout::kQ4_0,
    Layout::kInt8Row,  Layout::kInt8Block, Layout::kInt5Block, Layout::kInt4Block, Layout::kInt4Zero, Layout::kNf4,
    Layout::kIq4Block, Layout::kInt6Super, Layout::kInt5Super, Layout::kInt4Super};

inline bool IsOfBlocks(Layout layout) {
  return layout >= Layout::kQ8_0 && layout != Layout::kBF16Tile && layout != Layout::kInt8Row;
}

// Widths worth testing: every tail where a layout allows it, whole blocks otherwise.
inline std::vector<size_t> WidthsOf(Layout layout) {
  std::vector<size_t> widths;
  const bool blocks = IsOfBlocks(layout);
  if (!blocks)
    for (size_t n = 1; n <= 33; ++n) widths.push_back(n);
  if (layout >= Layout::kInt6Super) return {256, 512, 1536};
  for (const size_t n : {32, 64, 96, 160, 576, 1536, 2080}) widths.push_back(n);
  if (!blocks) widths.insert(widths.end(), {63, 65, 577, 1000});
  return widths;
}

// Groups of all sizes, whole and cut short: 64 and 64 + 32 columns, 128 + 32, 18 groups of 32, 65 blocks in groups
// of 4.
inline uint8_t GroupShiftOf(Layout layout, size_t cols) {
  const bool groups = layout == Layout::kInt4Zero || IsTable(layout);
  return groups ? static_cast<uint8_t>(cols / (2 * kBlock) % 3) : uint8_t{0};
}

class RandomMatrix {
 public:
  RandomMatrix(Layout layout, size_t rows, size_t cols, uint64_t seed = 1)
      : layout_(layout),
        rows_(rows),
        cols_(cols),
        group_shift_(GroupShiftOf(layout, cols)),
        codes_(rows * LayoutRowBytes(layout, cols)),
        decoded_(rows * cols) {
    Random random(seed, cols);
    if (layout == Layout::kInt8Row)
      for (size_t r = 0; r < rows; ++r) row_scales_.push_back(static_cast<float>(0.001 + 0.02 * random.Uniform()));
    if (IsOfBlocks(layout))
      for (size_t i = 0; i < rows * (cols / kBlock); ++i) AddScales(random, i % (cols / kBlock));
    for (size_t r = 0; r < rows; ++r)
      for (size_t i = 0; i < cols; ++i) Fill(random, r, i);
    if (IsTiled(layout)) Tile();
  }

  MatrixView view() const {
    return {.layout = layout_,
            .rows = rows_,
            .cols = cols_,
            .codes = tiles_.empty() ? codes_.data() : tiles_.data(),
            .stride_bytes = LayoutRowBytes(layout_, cols_),
            .row_scales = row_scales_.empty() ? nullptr : row_scales_.data(),
            .block_scales = tile_scales_.empty() ? nullptr : tile_scales_.data(),
            .group_shift = group_shift_};
  }
  std::vector<float> Row(size_t row) const {
    return {decoded_.begin() + static_cast<std::ptrdiff_t>(row * cols_),
            decoded_.begin() + static_cast<std::ptrdiff_t>((row + 1) * cols_)};
  }
  float At(size_t row, size_t i) const { return decoded_[row * cols_ + i]; }
  int Code(size_t row, size_t i) const { return static_cast<int8_t>(codes_[row * LayoutRowBytes(layout_, cols_) + i]); }

  // What integer products take for a weight: of tables step·bytes[q], which of kNf4 is its value rounded.
  double IntegerAt(size_t row, size_t i) const {
    if (!IsTable(layout_)) return static_cast<double>(At(row, i));
    const auto both =
        std::to_integer<unsigned>(codes_[row * LayoutRowBytes(layout_, cols_) + i / kBlock * 16 + i % 16]);
    const unsigned code = i % kBlock < 16 ? both & 15 : both >> 4;
    const CodeTable& table = TableOf(layout_);
    const double value = table.bytes[code] * (layout_ == Layout::kNf4 ? 1 / 127.0 : 1);
    return affine_[2 * (row * (cols_ / kBlock) + i / kBlock)].first * value;
  }

  // Σ w·x and Σ |w·x| in double.
  std::pair<double, double> Product(size_t row, const float* x, bool of_integers = false) const {
    double dot = 0, size = 0;
    for (size_t i = 0; i < cols_; ++i) {
      const double weight = of_integers ? IntegerAt(row, i) : static_cast<double>(At(row, i));
      const double term = weight * static_cast<double>(x[i]);
      dot += term;
      size += std::fabs(term);
    }
    return {dot, size};
  }

 private:
  void Tile() {
    const size_t rows = LayoutRows(layout_, rows_);
    tiles_.resize(rows * LayoutRowBytes(layout_, cols_));
    // Of whole tiles every byte must be written: weights begin as what the memory held before.
    if (rows == rows_) std::fill(tiles_.begin(), tiles_.end(), std::byte{0x7f});
    const size_t scale_bytes = LayoutScaleBytes(layout_, cols_, group_shift_);
    tile_scales_.resize(rows * scale_bytes);
    row_scales_.resize(row_scales_.empty() ? 0 : rows);
    for (size_t r = 0; r < rows_; ++r)
      PlaceRow(view(), r, codes_.data() + r * LayoutRowBytes(layout_, cols_),
               scales_.empty() ? nullptr : scales_.data() + r * scale_bytes);
  }

  bool super() const { return layout_ >= Layout::kInt6Super; }

  void AddHalf(double value) {
    const uint16_t bits = FloatToF16(static_cast<float>(value));
    const auto* bytes = reinterpret_cast<const std::byte*>(&bits);
    scales_.insert(scales_.end(), bytes, bytes + sizeof(bits));
    halves_.push_back(F16ToFloat(bits));
  }
  // Scale and offset of block `b` of a row, of each of its halves, as (scale, offset) in affine_.
  void AddScales(Random& random, size_t b) {
    if (layout_ == Layout::kInt4Zero || IsTable(layout_)) {
      if (b % (size_t{1} << group_shift_) == 0) AddGroup(random);
      affine_.insert(affine_.end(), 2, group_);
      return;
    }
    if (!super() || b % kBlocksPerSuper == 0) {
      AddHalf(0.05 * random.Normal() * (super() ? 0.1 : 1));
      AddHalf(IsInteger(layout_) ? 0.2 * random.Normal() * (super() ? 0.1 : 1) : 0);
    }
    const double d = static_cast<double>(halves_[halves_.size() - 2]), m = static_cast<double>(halves_.back());
    double s[2] = {1, 1}, n[2] = {1, 1};
    if (super()) {
      const size_t parts = layout_ == Layout::kInt6Super ? 2 : 1;
      for (size_t part = 0; part < parts; ++part)
        s[part] = parts == 2 ? static_cast<double>(random.Below(256)) - 128 : static_cast<double>(random.Below(64));
      for (size_t part = 0; part < parts; ++part) n[part] = static_cast<double>(random.Below(parts == 2 ? 16 : 64));
      for (size_t part = 0; part < parts; ++part)
        scales_.push_back(static_cast<std::byte>(static_cast<int>(s[part]) & 255));
      for (size_t part = 0; part < parts; ++part) scales_.push_back(static_cast<std::byte>(static_cast<int>(n[part])));
      if (parts == 1) s[1] = s[0], n[1] = n[0];
    }
    for (const size_t half : {0, 1}) affine_.emplace_back(d * s[half], m * n[half]);
  }

  void AddGroup(Random& random) {
    if (IsTable(layout_)) {
      const auto scale = static_cast<float>(0.4 * random.Normal() / static_cast<double>(TableOf(layout_).values[15]));
      const auto* bytes = reinterpret_cast<const std::byte*>(&scale);
      scales_.insert(scales_.end(), bytes, bytes + sizeof(scale));
      group_ = {scale, 0};
      return;
    }
    AddHalf(0.05 * random.Normal());
    AddHalf(static_cast<double>(random.Below(17)));
    const auto scale = static_cast<double>(halves_[halves_.size() - 2]);
    group_ = {scale, -scale * static_cast<double>(halves_.back())};
  }

  void Fill(Random& random, size_t row, size_t i) {
    std::byte* at = codes_.data() + row * LayoutRowBytes(layout_, cols_);
    float& value = decoded_[row * cols_ + i];
    const float normal = static_cast<float>(random.Normal());
    const size_t half = 2 * (row * (cols_ / kBlock) + i / kBlock) + i % kBlock / 16, inside = i % kBlock;
    const auto code8 = static_cast<int>(random.Below(255)) - 127;
    const auto code4 = static_cast<unsigned>(random.Below(16));
    switch (layout_) {
      case Layout::kF32:
        value = normal;
        std::memcpy(at + 4 * i, &value, 4);
        break;
      case Layout::kF16: {
        const uint16_t bits = FloatToF16(normal);
        value = F16ToFloat(bits);
        std::memcpy(at + 2 * i, &bits, 2);
        break;
      }
      case Layout::kBF16:
      case Layout::kBF16Tile: {
        const uint16_t bits = FloatToBF16(normal);
        value = BF16ToFloat(bits);
        std::memcpy(at + 2 * i, &bits, 2);
        break;
      }
      case Layout::kQ8_0:
      case Layout::kQ4_0: {
        const bool eight = layout_ == Layout::kQ8_0;
        std::byte* block = at + i / kBlock * (eight ? kQ8Bytes : kQ4Bytes);
        std::memcpy(block, scales_.data() + half / 2 * 2 * sizeof(uint16_t), sizeof(uint16_t));
        block += sizeof(uint16_t);
        if (eight)
          block[inside] = static_cast<std::byte>(code8);
        else
          block[inside % 16] |= static_cast<std::byte>(code4 << (inside < 16 ? 0 : 4));
        value = static_cast<float>(affine_[half].first * (eight ? code8 : static_cast<int>(code4) - 8));
        break;
      }
      case Layout::kInt8Row:
        at[i] = static_cast<std::byte>(code8);
        value = row_scales_[row] * static_cast<float>(code8);
        break;
      case Layout::kInt8Block:
        at[i] = static_cast<std::byte>(code8);
        value = Value(half, code8);
        break;
      case Layout::kInt6Super: {  // 6 bits, as Q6_K has them: scale·q then fits into f32
        const auto code6 = static_cast<int>(random.Below(64)) - 32;
        at[i] = static_cast<std::byte>(code6);
        value = Value(half, code6);
        break;
      }
      case Layout::kInt5Block:
      case Layout::kInt5Super: {
        const auto code5 = static_cast<unsigned>(random.Below(32));
        at[i / kBlock * 20 + 4 + inside % 16] |= static_cast<std::byte>((code5 & 15) << (inside < 16 ? 0 : 4));
        at[i / kBlock * 20 + inside / 8] |= static_cast<std::byte>(code5 >> 4 << inside % 8);
        value = Value(half, static_cast<int>(code5));
        break;
      }
      case Layout::kInt4Block:
      case Layout::kInt4Zero:
      case Layout::kNf4:
      case Layout::kIq4Block:
      case Layout::kInt4Super:
        at[i / kBlock * 16 + inside % 16] |= static_cast<std::byte>(code4 << (inside < 16 ? 0 : 4));
        value = IsTable(layout_) ? static_cast<float>(affine_[half].first) * TableOf(layout_).values[code4]
                                 : Value(half, static_cast<int>(code4));
        break;
    }
  }
  // In double and rounded once, as f32 does it: scale·q is exact there.
  float Value(size_t half, int code) const {
    return static_cast<float>(affine_[half].first * code + affine_[half].second);
  }

  Layout layout_;
  size_t rows_, cols_;
  uint8_t group_shift_;
  std::vector<std::byte> codes_, scales_, tiles_, tile_scales_;  // row by row; as the kernels want them
  std::vector<float> row_scales_;
  std::vector<float> halves_;
  std::vector<std::pair<double, double>> affine_;  // scale and offset of each half of a block
  std::pair<double, double> group_;                // of the last group
  std::vector<float> decoded_;
};

}  // namespace qad

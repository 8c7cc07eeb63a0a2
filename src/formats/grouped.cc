#include "formats/grouped.h"

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace qad {
namespace {

constexpr size_t kWordBits = 32;
constexpr std::array<size_t, 8> kAwqNibble = {0, 4, 1, 5, 2, 6, 3, 7};  // where output 8c + i lies

template <typename T>
T Load(const std::byte* at, size_t i) {
  T value;
  std::memcpy(&value, at + i * sizeof(T), sizeof(T));
  return value;
}

// Value i of a stream of codes whose words are `stride` apart.
unsigned FromStream(const std::byte* words, size_t i, size_t stride, int bits) {
  const size_t bit = i * static_cast<size_t>(bits), word = bit / kWordBits, shift = bit % kWordBits;
  uint64_t both = Load<uint32_t>(words, word * stride);
  if (shift + static_cast<size_t>(bits) > kWordBits)
    both |= static_cast<uint64_t>(Load<uint32_t>(words, (word + 1) * stride)) << kWordBits;
  return static_cast<unsigned>(both >> shift) & ((1u << bits) - 1);
}

void ToStream(uint32_t* words, size_t i, size_t stride, int bits, unsigned code) {
  const size_t bit = i * static_cast<size_t>(bits), word = bit / kWordBits, shift = bit % kWordBits;
  const uint64_t both = static_cast<uint64_t>(code) << shift;
  words[word * stride] |= static_cast<uint32_t>(both);
  if (shift + static_cast<size_t>(bits) > kWordBits)
    words[(word + 1) * stride] |= static_cast<uint32_t>(both >> kWordBits);
}

}  // namespace

float GroupCodes::Value(size_t row, size_t col) const {
  const size_t g = row * groups() + col / group;
  return F16ToFloat(scales[g]) * static_cast<float>(codes[row * cols + col] - zeros[g]);
}

size_t GroupedView::GroupOf(size_t col) const {
  return group_of == nullptr ? col / group : static_cast<size_t>(Load<int32_t>(group_of, col));
}

unsigned GroupedView::Code(size_t row, size_t col) const {
  if (packing == Packing::kGptq) return FromStream(codes + row * sizeof(uint32_t), col, rows, bits);
  return Load<uint32_t>(codes, col * (rows / 8) + row / 8) >> (4 * kAwqNibble[row % 8]) & 15u;
}

unsigned GroupedView::Zero(size_t row, size_t index) const {
  if (packing == Packing::kAwq)
    return Load<uint32_t>(zeros, index * (rows / 8) + row / 8) >> (4 * kAwqNibble[row % 8]) & 15u;
  const std::byte* words = zeros + index * PackedWords(rows, bits) * sizeof(uint32_t);
  return (FromStream(words, row, 1, bits) + zero_offset) & ((1u << bits) - 1);
}

uint16_t GroupedView::ScaleBits(size_t row, size_t index) const { return Load<uint16_t>(scales, index * rows + row); }

void GroupedView::DecodeRow(size_t row, float* out) const {
  size_t last = static_cast<size_t>(-1);
  float scale = 0;
  int zero = 0;
  for (size_t col = 0; col < cols; ++col) {
    if (const size_t index = GroupOf(col); index != last) {
      last = index;
      scale = F16ToFloat(ScaleBits(row, index));
      zero = static_cast<int>(Zero(row, index));
    }
    out[col] = scale * static_cast<float>(static_cast<int>(Code(row, col)) - zero);
  }
}

bool GroupedView::InOrder() const {
  if (group_of == nullptr) return true;
  for (size_t col = 0; col < cols; ++col)
    if (GroupOf(col) != col / group) return false;
  return true;
}

bool GroupedView::Symmetric() const {
  const unsigned middle = 1u << (bits - 1);
  for (size_t g = 0; g < groups(); ++g)
    for (size_t row = 0; row < rows; ++row)
      if (Zero(row, g) != middle) return false;
  return true;
}

size_t GroupedView::bytes() const {
  const size_t words = PackedWords(rows * cols, bits) + groups() * PackedWords(rows, bits);
  return words * sizeof(uint32_t) + groups() * rows * sizeof(uint16_t) +
         (group_of == nullptr ? 0 : cols * sizeof(int32_t));
}

bool CanPack(Packing packing, int bits, size_t rows, size_t cols) {
  if (packing == Packing::kAwq) return bits == 4 && rows % 8 == 0;
  const auto width = static_cast<size_t>(bits);
  return cols * width % kWordBits == 0 && rows * width % kWordBits == 0;
}

PackedGroups PackGroups(const GroupCodes& codes, Packing packing, unsigned zero_offset) {
  QAD_CHECK(CanPack(packing, codes.bits, codes.rows, codes.cols));
  const size_t rows = codes.rows, cols = codes.cols, groups = codes.groups();
  const unsigned mask = (1u << codes.bits) - 1;
  const bool gptq = packing == Packing::kGptq;
  PackedGroups out;
  out.codes.resize(PackedWords(rows * cols, codes.bits));
  const size_t zero_words = PackedWords(rows, codes.bits);
  out.zeros.resize(groups * zero_words);
  out.scales.resize(groups * rows);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t col = 0; col < cols; ++col) {
      const unsigned code = codes.codes[row * cols + col];
      if (gptq)
        ToStream(out.codes.data() + row, col, rows, codes.bits, code);
      else
        out.codes[col * (rows / 8) + row / 8] |= code << (4 * kAwqNibble[row % 8]);
    }
    for (size_t g = 0; g < groups; ++g) {
      const unsigned zero = (codes.zeros[row * groups + g] - zero_offset) & mask;
      if (gptq)
        ToStream(out.zeros.data() + g * zero_words, row, 1, codes.bits, zero);
      else
        out.zeros[g * (rows / 8) + row / 8] |= zero << (4 * kAwqNibble[row % 8]);
      out.scales[g * rows + row] = codes.scales[row * groups + g];
    }
  }
  for (size_t col = 0; col < cols; ++col) out.group_of.push_back(static_cast<int32_t>(col / codes.group));
  return out;
}

}  // namespace qad

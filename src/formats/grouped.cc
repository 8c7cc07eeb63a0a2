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
  if (packing == Packing::kCompressed)
    return FromStream(codes + row * PackedWords(cols, bits) * sizeof(uint32_t), col, 1, bits);
  if (packing == Packing::kGptq) return FromStream(codes + row * sizeof(uint32_t), col, rows, bits);
  return Load<uint32_t>(codes, col * (rows / 8) + row / 8) >> (4 * kAwqNibble[row % 8]) & 15u;
}

unsigned GroupedView::Zero(size_t row, size_t index) const {
  if (zeros == nullptr) return 1u << (bits - 1);
  if (packing == Packing::kCompressed) return FromStream(zeros + index * sizeof(uint32_t), row, groups(), bits);
  if (packing == Packing::kAwq)
    return Load<uint32_t>(zeros, index * (rows / 8) + row / 8) >> (4 * kAwqNibble[row % 8]) & 15u;
  const std::byte* words = zeros + index * PackedWords(rows, bits) * sizeof(uint32_t);
  return (FromStream(words, row, 1, bits) + zero_offset) & ((1u << bits) - 1);
}

float GroupedView::Scale(size_t row, size_t index) const {
  const size_t at = packing == Packing::kCompressed ? row * groups() + index : index * rows + row;
  switch (scale_type) {
    case ScaleType::kF16:
      return F16ToFloat(Load<uint16_t>(scales, at));
    case ScaleType::kBF16:
      return BF16ToFloat(Load<uint16_t>(scales, at));
    case ScaleType::kF32:
      return Load<float>(scales, at);
  }
  QAD_CHECK(false);
}

uint16_t GroupedView::ScaleBits(size_t row, size_t index) const { return FloatToF16(Scale(row, index)); }

void GroupedView::DecodeRow(size_t row, float* out) const {
  size_t last = static_cast<size_t>(-1);
  float scale = 0;
  int zero = 0;
  for (size_t col = 0; col < cols; ++col) {
    if (const size_t index = GroupOf(col); index != last) {
      last = index;
      scale = Scale(row, index);
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

bool GroupedView::ScalesAreF16() const {
  if (scale_type == ScaleType::kF16) return true;
  for (size_t row = 0; row < rows; ++row)
    for (size_t g = 0; g < groups(); ++g)
      if (F16ToFloat(ScaleBits(row, g)) != Scale(row, g)) return false;
  return true;
}

bool GroupedView::Symmetric() const {
  if (zeros == nullptr) return true;
  const unsigned middle = 1u << (bits - 1);
  for (size_t g = 0; g < groups(); ++g)
    for (size_t row = 0; row < rows; ++row)
      if (Zero(row, g) != middle) return false;
  return true;
}

size_t GroupedView::bytes() const {
  const size_t words = PackedWords(rows * cols, bits) + (zeros == nullptr ? 0 : groups() * PackedWords(rows, bits));
  return words * sizeof(uint32_t) +
         groups() * rows * (scale_type == ScaleType::kF32 ? sizeof(float) : sizeof(uint16_t)) +
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
  const bool gptq = packing == Packing::kGptq, compressed = packing == Packing::kCompressed;
  PackedGroups out;
  out.codes.resize(PackedWords(rows * cols, codes.bits));
  const size_t zero_words = PackedWords(rows, codes.bits);
  out.zeros.resize(groups * zero_words);
  out.scales.resize(groups * rows);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t col = 0; col < cols; ++col) {
      const unsigned code = codes.codes[row * cols + col];
      if (compressed)
        ToStream(out.codes.data() + row * PackedWords(cols, codes.bits), col, 1, codes.bits, code);
      else if (gptq)
        ToStream(out.codes.data() + row, col, rows, codes.bits, code);
      else
        out.codes[col * (rows / 8) + row / 8] |= code << (4 * kAwqNibble[row % 8]);
    }
    for (size_t g = 0; g < groups; ++g) {
      const unsigned zero = (codes.zeros[row * groups + g] - zero_offset) & mask;
      if (compressed)
        ToStream(out.zeros.data() + g, row, groups, codes.bits, zero);
      else if (gptq)
        ToStream(out.zeros.data() + g * zero_words, row, 1, codes.bits, zero);
      else
        out.zeros[g * (rows / 8) + row / 8] |= zero << (4 * kAwqNibble[row % 8]);
      out.scales[compressed ? row * groups + g : g * rows + row] = codes.scales[row * groups + g];
    }
  }
  for (size_t col = 0; col < cols; ++col) out.group_of.push_back(static_cast<int32_t>(col / codes.group));
  return out;
}

}  // namespace qad

// Codecs against the PyPI package `gguf` (testdata/make_format_goldens.py), their known errors, and odd input.
#include "formats/format.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "base/test_files.h"
#include "base/testing.h"
#include "formats/k_blocks.h"

namespace qad {
namespace {

constexpr size_t kCols = 32;

std::vector<float> Floats(const std::string& name) {
  const std::string bytes = FileBytes(TestData("formats/" + name));
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::vector<std::byte> Encode(const Format& format, const std::vector<float>& values, size_t cols) {
  std::vector<std::byte> out(values.size() / cols * format.RowBytes(cols));
  for (size_t r = 0; r < values.size() / cols; ++r)
    format.encode_row(values.data() + r * cols, out.data() + r * format.RowBytes(cols), cols);
  return out;
}

std::vector<float> Decode(const Format& format, const std::vector<std::byte>& bytes, size_t cols) {
  std::vector<float> out(bytes.size() / format.RowBytes(cols) * cols);
  for (size_t r = 0; r < out.size() / cols; ++r)
    format.decode_row(bytes.data() + r * format.RowBytes(cols), out.data() + r * cols, cols);
  return out;
}

class AgainstGguf : public ::testing::TestWithParam<const char*> {};

TEST_P(AgainstGguf, EncodesTheSameBytes) {
  const Format& format = *FindFormat(GetParam());
  const std::string want = FileBytes(TestData(std::string("formats/odd.") + GetParam()));
  const std::vector<std::byte> got = Encode(format, Floats("odd.f32"), kCols);
  ASSERT_EQ(got.size(), want.size());
  const auto row = format.RowBytes(kCols);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(std::to_integer<int>(got[i]), static_cast<unsigned char>(want[i]))
        << "block " << i / row << ", byte " << i % row;
}

TEST_P(AgainstGguf, DecodesTheSameValues) {
  const Format& format = *FindFormat(GetParam());
  const std::string stored = FileBytes(TestData(std::string("formats/odd.") + GetParam()));
  std::vector<std::byte> bytes(stored.size());
  std::memcpy(bytes.data(), stored.data(), stored.size());
  const std::vector<float> want = Floats(std::string("odd.") + GetParam() + ".f32");
  EXPECT_TRUE(
      AllClose(Decode(format, bytes, kCols), want, 0));  // the same operations in the same order: no error at all
}

INSTANTIATE_TEST_SUITE_P(Types, AgainstGguf, ::testing::Values("q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "f16", "bf16"),
                         [](const auto& row) { return std::string(row.param); });

class SuperBlocks : public ::testing::TestWithParam<const char*> {};

TEST_P(SuperBlocks, DecodeToTheSameValuesAsGguf) {
  const Format& format = *FindFormat(GetParam());
  const std::string stored = FileBytes(TestData(std::string("formats/super.") + GetParam()));
  std::vector<std::byte> bytes(stored.size());
  std::memcpy(bytes.data(), stored.data(), stored.size());
  const std::vector<float> want = Floats(std::string("super.") + GetParam() + ".f32");
  const auto block = static_cast<size_t>(format.block);
  ASSERT_EQ(want.size(), 24u * block);
  EXPECT_TRUE(AllClose(Decode(format, bytes, block), want, 0));
}

TEST_P(SuperBlocks, PackToTheSameBytes) {
  const Format& format = *FindFormat(GetParam());
  if (!IsSuperBlock(format.id)) return;
  const std::string stored = FileBytes(TestData(std::string("formats/super.") + GetParam()));
  const auto size = static_cast<size_t>(format.block_bytes);
  for (size_t at = 0; at < stored.size(); at += size) {
    std::vector<std::byte> packed(size, std::byte{0xff});
    PackSuperBlock(format.id, UnpackSuperBlock(format.id, reinterpret_cast<const std::byte*>(stored.data() + at)),
                   packed.data());
    ASSERT_EQ(std::memcmp(packed.data(), stored.data() + at, size), 0) << "block at " << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SuperBlocks, ::testing::Values("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl"),
                         [](const auto& row) { return std::string(row.param); });

// Those that can be written.
std::vector<Format> Encoders() {
  std::vector<Format> formats;
  std::ranges::copy_if(AllFormats(), std::back_inserter(formats),
                       [](const Format& f) { return f.encode_row != nullptr; });
  return formats;
}

// Scales beyond binary16 and scales without an inverse: no crash, no undefined conversion, the block size kept, and
// what is too small to hold becomes zero.
TEST(Formats, SurviveExtremeBlocks) {
  const std::vector<float> extreme = Floats("extreme.f32");
  for (const Format& format : Encoders()) {
    const std::vector<float> back = Decode(format, Encode(format, extreme, kCols), kCols);
    ASSERT_EQ(back.size(), extreme.size()) << format.name;
    if (format.block == 1) continue;
    for (size_t i = 3 * kCols; i < back.size(); ++i) ASSERT_EQ(back[i], 0.0f) << format.name << " value " << i;
  }
}

TEST(Formats, KeepZerosAtZero) {
  for (const Format& format : Encoders()) {
    const std::vector<float> zeros(2 * kCols, 0.0f);
    EXPECT_EQ(Decode(format, Encode(format, zeros, kCols), kCols), zeros) << format.name;
  }
}

// x = 0.1 + 2·cos(i), n = 4096; the figures are llama.cpp's and gguf's on the same data, to three digits.
TEST(Formats, HaveTheKnownErrors) {
  std::vector<float> x(4096);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 0.1f + 2 * std::cos(static_cast<float>(i));
  const auto error = [&](const char* name) {
    return NormalizedMeanSquaredError(Decode(*FindFormat(name), Encode(*FindFormat(name), x, kCols), kCols), x);
  };
  EXPECT_NEAR(error("q8_0"), 1.13e-5, 0.005e-5);
  EXPECT_NEAR(error("q4_0"), 2.56e-3, 0.005e-3);
  EXPECT_NEAR(error("q4_1"), 2.67e-3, 0.005e-3);
  EXPECT_LE(error("q5_0"), 2.56e-3 / 3.5);  // one bit more: a quarter of the error, less what rounding takes
  EXPECT_LE(error("q5_1"), 2.67e-3 / 3.5);
  EXPECT_LE(error("f16"), 0x1p-22);  // (half an ulp, 2^-11, relative)²
  EXPECT_LE(error("bf16"), 0x1p-16);
  EXPECT_EQ(error("f32"), 0);
}

// Half a step of the row's own scale, plus what f32 loses on q·scale (2^-24 relative, twice).
TEST(Int8, RoundTripIsWithinHalfAStep) {
  const Format& format = GetFormat(FormatId::kInt8);
  Random random(3);
  for (size_t cols = 1; cols <= 33; ++cols) {
    std::vector<float> row(cols);
    for (float& value : row) value = static_cast<float>(random.Normal());
    const std::vector<std::byte> stored = Encode(format, row, cols);
    float scale = 0, largest = 0;
    std::memcpy(&scale, stored.data() + cols, sizeof(scale));
    for (const float value : row) largest = std::max(largest, std::fabs(value));
    EXPECT_EQ(scale, largest / 127.0f);
    EXPECT_TRUE(AllClose(Decode(format, stored, cols), row, scale * 0.5 + largest * 0x1p-22)) << cols << " columns";
  }
}

TEST(Int8, IsSymmetric) {
  const Format& format = GetFormat(FormatId::kInt8);
  const std::vector<std::byte> stored = Encode(format, {-2.0f, 2.0f, 0.0f, -0.0f}, 4);
  EXPECT_EQ(static_cast<int8_t>(stored[0]), -127);
  EXPECT_EQ(static_cast<int8_t>(stored[1]), 127);
  EXPECT_EQ(static_cast<int8_t>(stored[2]), 0);
  EXPECT_EQ(static_cast<int8_t>(stored[3]), 0);
}

TEST(Int8, RoundsHalvesToEven) {
  const Format& format = GetFormat(FormatId::kInt8);
  const std::vector<std::byte> stored = Encode(format, {127.0f, 0.5f, 1.5f, -2.5f}, 4);
  EXPECT_EQ(static_cast<int8_t>(stored[1]), 0);
  EXPECT_EQ(static_cast<int8_t>(stored[2]), 2);
  EXPECT_EQ(static_cast<int8_t>(stored[3]), -2);
}

TEST(Formats, AreFoundByNameAndGgufType) {
  for (const Format& format : AllFormats()) {
    EXPECT_EQ(&GetFormat(format.id), &format);
    EXPECT_EQ(FindFormat(format.name), &format);
    if (format.gguf_type >= 0) {
      EXPECT_EQ(FindGgufFormat(static_cast<uint32_t>(format.gguf_type)), &format);
    }
    EXPECT_EQ(format.RowBytes(64), 64 / static_cast<size_t>(format.block) * static_cast<size_t>(format.block_bytes) +
                                       static_cast<size_t>(format.row_extra_bytes));
  }
  EXPECT_EQ(FindFormat("Q4_1"), FindFormat("q4_1"));
  EXPECT_EQ(FindFormat("q4"), nullptr);
  EXPECT_EQ(FindFormat(""), nullptr);
  EXPECT_EQ(FindGgufFormat(99), nullptr);
  EXPECT_EQ(FindGgufFormat(static_cast<uint32_t>(-1)), nullptr);  // what has no GGUF type is not found by −1
  EXPECT_FALSE(FindFormat("q8_0")->Divides(33));
  EXPECT_EQ(FindFormat("q4_1")->BitsPerWeight(), 5.0);
}

TEST(Formats, ReadRowsThatAreNotAligned) {
  for (const Format& format : Encoders()) {
    const std::vector<float> x(kCols, 1.0f);
    const std::vector<std::byte> stored = Encode(format, x, kCols);
    std::vector<std::byte> shifted(stored.size() + 1);
    std::memcpy(shifted.data() + 1, stored.data(), stored.size());
    std::vector<float> back(kCols);
    format.decode_row(shifted.data() + 1, back.data(), kCols);
    EXPECT_EQ(back, Decode(format, stored, kCols)) << format.name;
  }
}

}  // namespace
}  // namespace qad

// Codes in groups, packed and read again; bytes against GPTQModel and AutoAWQ are checked by scripts/interop --all.
#include "formats/grouped.h"

#include <cstring>

#include "base/half.h"
#include "base/random.h"
#include "base/testing.h"

namespace qad {
namespace {

GroupCodes RandomCodes(int bits, size_t rows, size_t cols, size_t group) {
  GroupCodes codes{.bits = bits, .rows = rows, .cols = cols, .group = group};
  Random random(3, static_cast<uint64_t>(bits));
  for (size_t i = 0; i < rows * cols; ++i)
    codes.codes.push_back(static_cast<uint8_t>(random.Below(uint64_t{1} << bits)));
  for (size_t i = 0; i < rows * codes.groups(); ++i) {
    codes.scales.push_back(FloatToF16(static_cast<float>(0.01 + random.Uniform())));
    codes.zeros.push_back(static_cast<uint8_t>(random.Below(uint64_t{1} << bits)));
  }
  return codes;
}

GroupedView ViewOf(const GroupCodes& codes, const PackedGroups& packed, Packing packing, unsigned zero_offset) {
  return {.packing = packing,
          .bits = codes.bits,
          .rows = codes.rows,
          .cols = codes.cols,
          .group = codes.group,
          .zero_offset = zero_offset,
          .codes = std::as_bytes(std::span(packed.codes)).data(),
          .zeros = std::as_bytes(std::span(packed.zeros)).data(),
          .scales = std::as_bytes(std::span(packed.scales)).data(),
          .group_of = std::as_bytes(std::span(packed.group_of)).data()};
}

TEST(Grouped, PackedCodesAreReadAgain) {
  for (const int bits : {2, 3, 4, 8})
    for (const Packing packing : {Packing::kGptq, Packing::kAwq, Packing::kCompressed})
      for (const unsigned offset : {0u, 1u}) {
        if (packing != Packing::kGptq && offset == 1) continue;
        if (packing == Packing::kAwq && bits != 4) continue;
        const GroupCodes codes = RandomCodes(bits, 64, 96, 32);
        const PackedGroups packed = PackGroups(codes, packing, offset);
        const GroupedView view = ViewOf(codes, packed, packing, offset);
        EXPECT_TRUE(view.InOrder());
        EXPECT_EQ(view.bytes(), packed.codes.size() * 4 + packed.zeros.size() * 4 + packed.scales.size() * 2 +
                                    packed.group_of.size() * 4);
        std::vector<float> row(codes.cols);
        for (size_t r = 0; r < codes.rows; ++r) {
          view.DecodeRow(r, row.data());
          for (size_t c = 0; c < codes.cols; ++c) ASSERT_EQ(row[c], codes.Value(r, c)) << bits << " " << r << " " << c;
        }
      }
}

// The first words by hand: GPTQ's lowest bits are the first inputs; AWQ's nibbles are outputs 0, 2, 4, 6, 1, 3, 5, 7.
TEST(Grouped, WordsAreAsThePackagesLayThem) {
  GroupCodes codes = RandomCodes(4, 8, 32, 32);
  for (size_t i = 0; i < 8; ++i) codes.codes[i] = static_cast<uint8_t>(i);                   // output 0, inputs 0 … 7
  for (size_t r = 0; r < 8; ++r) codes.codes[r * codes.cols + 9] = static_cast<uint8_t>(r);  // input 9
  codes.zeros.assign(codes.zeros.size(), 8);
  const PackedGroups gptq = PackGroups(codes, Packing::kGptq, 1);
  EXPECT_EQ(gptq.codes[0], 0x76543210u);
  EXPECT_EQ(gptq.zeros[0], 0x77777777u);
  const PackedGroups awq = PackGroups(codes, Packing::kAwq, 0);
  EXPECT_EQ(awq.codes[9], 0x75316420u);
  EXPECT_EQ(awq.zeros[0], 0x88888888u);
}

TEST(Grouped, ThreeBitsGoAcrossWords) {
  GroupCodes codes = RandomCodes(3, 32, 32, 32);
  codes.codes.assign(codes.codes.size(), 0);
  codes.codes[10] = 7;  // output 0: bits 30, 31 of its first word and 0 of its second
  codes.codes[21] = 5;  // bit 31 of the second, bits 0 and 1 of the third: 1, then 0 1
  const PackedGroups packed = PackGroups(codes, Packing::kGptq, 1);
  EXPECT_EQ(packed.codes[0], 0xc0000000u);
  EXPECT_EQ(packed.codes[32], 0x80000001u);
  EXPECT_EQ(packed.codes[64], 0x00000002u);
}

TEST(Grouped, OtherOrdersAndMiddleZerosAreTold) {
  GroupCodes codes = RandomCodes(8, 32, 64, 32);
  codes.zeros.assign(codes.zeros.size(), 128);
  PackedGroups packed = PackGroups(codes, Packing::kGptq, 0);
  EXPECT_TRUE(ViewOf(codes, packed, Packing::kGptq, 0).Symmetric());
  EXPECT_TRUE(ViewOf(codes, packed, Packing::kGptq, 0).InOrder());
  std::swap(packed.group_of[0], packed.group_of[63]);
  EXPECT_FALSE(ViewOf(codes, packed, Packing::kGptq, 0).InOrder());
  codes.zeros[5] = 127;
  packed = PackGroups(codes, Packing::kGptq, 0);
  EXPECT_FALSE(ViewOf(codes, packed, Packing::kGptq, 0).Symmetric());
}

TEST(Grouped, DimensionsMustFillWords) {
  EXPECT_TRUE(CanPack(Packing::kGptq, 4, 8, 64));
  EXPECT_FALSE(CanPack(Packing::kGptq, 4, 12, 64));
  EXPECT_FALSE(CanPack(Packing::kGptq, 3, 8, 64));
  EXPECT_TRUE(CanPack(Packing::kGptq, 3, 32, 64));
  EXPECT_TRUE(CanPack(Packing::kAwq, 4, 8, 12));
  EXPECT_FALSE(CanPack(Packing::kAwq, 8, 8, 64));
}

}  // namespace
}  // namespace qad

// Files by the PyPI package `gguf`, and every way in which a file can lie about itself.
#include "io/gguf.h"

#include <cmath>

#include "base/test_files.h"
#include "base/testing.h"
#include "io/gguf_builder.h"

namespace qad {
namespace {

class Reference : public ::testing::TestWithParam<uint32_t> {
 protected:
  GgufFile Open() const { return GgufFile(TestData(fmt::format("io/tiny-v{}.gguf", GetParam()))); }
};

TEST_P(Reference, HasTheMetadata) {
  const GgufFile file = Open();
  EXPECT_EQ(file.version(), GetParam());
  EXPECT_EQ(file.String("general.architecture"), "llama");
  EXPECT_EQ(file.Int("test.u8", 0, 255), 200);
  EXPECT_EQ(file.Int("test.i8", -128, 127), -3);
  EXPECT_EQ(file.Int("test.u16", 0, 65535), 65535);
  EXPECT_EQ(file.Int("test.i16", -1000, 0), -300);
  EXPECT_EQ(file.Int("test.u32", 0, INT64_MAX), 4000000000);
  EXPECT_EQ(file.Int("test.i32", INT64_MIN, 0), -70000);
  EXPECT_EQ(file.Int("test.i64", INT64_MIN, 0), -(int64_t{1} << 40));
  EXPECT_EQ(std::get<uint64_t>(file.metadata().at("test.u64")), (uint64_t{1} << 63) + 5);
  EXPECT_EQ(file.NumberOr("test.f32", 0), 0.5);
  EXPECT_EQ(file.NumberOr("test.f64", 0), 1e-300);
  EXPECT_TRUE(file.BoolOr("test.bool", false));
  EXPECT_EQ(file.String("test.text"), "grün\n");
  EXPECT_EQ(file.Ints("test.ints"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(file.Ints("test.bools"), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(std::get<std::vector<double>>(file.metadata().at("test.floats")), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(file.Strings("test.texts"), (std::vector<std::string>{"a", "", "ü"}));
  EXPECT_EQ(file.Int("test.same", 0, 9), 4);  // one value for all layers
}

TEST_P(Reference, HasTheTensors) {
  const GgufFile file = Open();
  ASSERT_EQ(file.tensors().size(), 10u);
  EXPECT_EQ(file.tensors().front().name, "plain");
  std::vector<float> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 0.1f + 2 * std::cos(static_cast<float>(i));
  for (const char* name : {"plain", "half", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "bf16"}) {
    const GgufTensor* tensor = file.Find(name);
    ASSERT_NE(tensor, nullptr) << name;
    ASSERT_NE(tensor->format, nullptr) << name;
    EXPECT_EQ(tensor->shape, (std::vector<int64_t>{2, 64})) << name;
    ASSERT_EQ(tensor->bytes.size(), 2 * tensor->format->RowBytes(64)) << name;
    EXPECT_EQ(tensor->offset % 32, 0u);
    std::vector<float> back(128);
    for (size_t r = 0; r < 2; ++r)
      tensor->format->decode_row(tensor->bytes.data() + r * tensor->format->RowBytes(64), back.data() + 64 * r, 64);
    EXPECT_TRUE(AllClose(back, x, 2.1 / 8)) << name;  // a whole step of the coarsest, q4_0, which clips on one side
  }
  EXPECT_EQ(file.Find("vector")->shape, std::vector<int64_t>{5});
  EXPECT_EQ(file.Find("cube")->shape, (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(file.Find("none"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Versions, Reference, ::testing::Values(2u, 3u));

TEST(GgufTypes, HaveNames) {
  EXPECT_EQ(GgufTypeName(12), "Q4_K");
  EXPECT_EQ(GgufTypeName(99), "type 99");
}

TEST(GgufGetters, NameKeyAndExpectation) {
  const GgufFile file(TestData("io/tiny-v3.gguf"));
  EXPECT_TRUE(Fails([&] { (void)file.Int("test.u8", 0, 100); }, ErrorKind::kInput,
                    {"tiny-v3.gguf", "\"test.u8\"", "from 0 to 100"}));
  EXPECT_TRUE(Fails([&] { (void)file.Int("none", 0, 1); }, ErrorKind::kInput, {"\"none\" is missing"}));
  EXPECT_TRUE(Fails([&] { (void)file.Int("test.u64", 0, INT64_MAX); }, ErrorKind::kInput, {"\"test.u64\""}));
  EXPECT_TRUE(Fails([&] { (void)file.Int("test.ints", 0, 9); }, ErrorKind::kInput, {"\"test.ints\""}));
  EXPECT_TRUE(
      Fails([&] { (void)file.IntOr("test.text", 0, 1, 0); }, ErrorKind::kInput, {"\"test.text\" has another type"}));
  EXPECT_TRUE(Fails([&] { (void)file.NumberOr("test.text", 0); }, ErrorKind::kInput, {"finite number"}));
  EXPECT_TRUE(Fails([&] { (void)file.BoolOr("test.u8", true); }, ErrorKind::kInput, {"true or false"}));
  EXPECT_TRUE(Fails([&] { (void)file.String("test.u8"); }, ErrorKind::kInput, {"a string"}));
  EXPECT_TRUE(Fails([&] { (void)file.Strings("test.ints"); }, ErrorKind::kInput, {"a list of strings"}));
  EXPECT_TRUE(Fails([&] { (void)file.Ints("test.texts"); }, ErrorKind::kInput, {"a list of whole numbers"}));
}

// One tensor of 64 f32 values in a file that is right.
GgufBuilder Good() { return GgufBuilder().String("general.architecture", "llama").Tensor("t", {32, 2}, 0, 0); }

// The message must name the file, too.
::testing::AssertionResult Refused(const std::string& bytes, std::vector<std::string_view> parts) {
  const TempFolder folder;
  const auto path = folder.Write("bad.gguf", bytes);
  parts.push_back("bad.gguf");
  return Fails([&] { GgufFile file(path); }, ErrorKind::kInput, parts);
}

TEST(GgufMalformed, TheGoodFileIsGood) {
  const TempFolder folder;
  const GgufFile file(folder.Write("good.gguf", Good().File(256)));
  EXPECT_EQ(file.Find("t")->shape, (std::vector<int64_t>{2, 32}));
  const GgufFile vocabulary(
      folder.Write("vocabulary.gguf", GgufBuilder().String("a", "b").Header()));  // no tensors, no data
  EXPECT_TRUE(vocabulary.tensors().empty());
}

TEST(GgufMalformed, MagicAndVersion) {
  EXPECT_TRUE(Refused("", {"offset 0", "\"GGUF\""}));
  EXPECT_TRUE(Refused("GGUF", {"offset 4", "the version"}));
  EXPECT_TRUE(Refused("GGML" + Good().File(256).substr(4), {"offset 0"}));
  for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    GgufBuilder builder = Good();
    builder.version = version;
    EXPECT_TRUE(Refused(builder.File(256), {"offset 4", fmt::format("GGUF version {}", version), "reads 2 and 3"}));
  }
  GgufBuilder big = Good();
  big.version = 0x03000000;
  EXPECT_TRUE(Refused(big.File(256), {"big-endian"}));
}

TEST(GgufMalformed, Counts) {
  for (const uint64_t count : {UINT64_MAX, uint64_t{1} << 40, uint64_t{100}}) {
    GgufBuilder tensors = Good(), keys = Good();
    tensors.tensor_count = count;
    keys.key_count = count;
    EXPECT_TRUE(Refused(tensors.File(256), {"offset"}));
    EXPECT_TRUE(Refused(keys.File(256), {"offset"}));
  }
  GgufBuilder huge = Good();
  huge.tensor_count = UINT64_MAX;
  EXPECT_TRUE(Refused(huge.File(256), {"offset 8", "tensors cannot fit"}));
  huge = Good();
  huge.key_count = UINT64_MAX;
  EXPECT_TRUE(Refused(huge.File(256), {"offset 16", "keys cannot fit"}));
}

TEST(GgufMalformed, Keys) {
  const auto raw = [](uint64_t v) { return GgufBuilder::Raw(v); };
  EXPECT_TRUE(Refused(Good().String("", "x").File(256), {"an empty key"}));
  EXPECT_TRUE(Refused(Good().U32("a", 1).U32("a", 2).File(256), {"duplicate key \"a\""}));
  EXPECT_TRUE(Refused(Good().U32(std::string(65536, 'k'), 1).File(256), {"a key has 65536 bytes"}));
  EXPECT_TRUE(Refused(Good().Key("s", 8, raw(UINT64_MAX)).File(256), {"a string needs 18446744073709551615 bytes"}));
  EXPECT_TRUE(Refused(Good().Key("s", 8, raw(1 << 20)).File(256), {"a string needs 1048576 bytes"}));
  EXPECT_TRUE(Refused(Good().Key("s", 13, raw(0)).File(256), {"\"s\" has value type 13"}));
  EXPECT_TRUE(Refused(Good().Key("s", 0xffffffff, raw(0)).File(256), {"\"s\" has value type 4294967295"}));
  EXPECT_TRUE(Refused(Good().Key("s", 7, "\x02").File(256), {"a bool is 2"}));
}

TEST(GgufMalformed, Arrays) {
  const auto array = [](uint32_t type, uint64_t count, const std::string& data) {
    return GgufBuilder::Raw(type) + GgufBuilder::Raw(count) + data;
  };
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(4, UINT64_MAX, "")).File(256),
                      {"\"a\" is an array of 18446744073709551615 values"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(11, 300, "")).File(256), {"an array needs 2400 bytes"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(8, 100, "")).File(256), {"\"a\" is an array of 100 values"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(8, 2, GgufBuilder::Text("x") + GgufBuilder::Raw(UINT64_MAX))).File(256),
                      {"a string of an array needs"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(9, 1, array(4, 0, ""))).File(256), {"\"a\" is an array of arrays"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(77, 1, "x")).File(256), {"\"a\" is an array of type 77"}));
  EXPECT_TRUE(Refused(Good().Key("a", 9, array(7, 2, "\x01\x05")).File(256), {"a bool is 5"}));
}

TEST(GgufMalformed, Alignment) {
  for (const uint32_t alignment : {0u, 13u, 1u << 31})
    EXPECT_TRUE(Refused(Good().U32("general.alignment", alignment).File(256), {"general.alignment is", "power of two"}))
        << alignment;
  EXPECT_TRUE(Refused(Good().String("general.alignment", "32").File(256), {"general.alignment"}));
  GgufBuilder wide = GgufBuilder().U32("general.alignment", 64).Tensor("t", {32}, 0, 32);
  wide.alignment = 64;
  EXPECT_TRUE(Refused(wide.File(256), {"tensor \"t\"", "offset 32 is not a multiple of the alignment 64"}));
}

TEST(GgufMalformed, TensorEntries) {
  const auto with = [](std::string_view name, const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset) {
    return Good().Tensor(name, ne, type, offset).File(512);
  };
  EXPECT_TRUE(Refused(with("", {1}, 0, 256), {"a tensor without a name"}));
  EXPECT_TRUE(Refused(with(std::string(64, 'n'), {1}, 0, 256), {"a tensor's name has 64 bytes"}));
  EXPECT_TRUE(Refused(with("t", {1}, 0, 256), {"duplicate tensor \"t\""}));
  EXPECT_TRUE(Refused(with("u", {}, 0, 256), {"tensor \"u\"", "rank 0"}));
  EXPECT_TRUE(Refused(with("u", {1, 1, 1, 1, 1}, 0, 256), {"tensor \"u\"", "rank 5"}));
  EXPECT_TRUE(Refused(with("u", {4, 0}, 0, 256), {"tensor \"u\"", "dimension 1 is 0"}));
  EXPECT_TRUE(Refused(with("u", {4, UINT64_MAX}, 0, 256), {"tensor \"u\"", "dimension 1 is -1"}));
  EXPECT_TRUE(Refused(with("u", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, 256), {"tensor \"u\"", "too large"}));
  EXPECT_TRUE(Refused(with("u", {uint64_t{1} << 61, 8, 8}, 0, 256), {"tensor \"u\"", "too large"}));
  EXPECT_TRUE(Refused(with("u", {8}, 99, 256), {"tensor \"u\"", "type 99"}));
  EXPECT_TRUE(Refused(with("u", {33}, 2, 256), {"tensor \"u\"", "rows of 33 values", "Q4_0 blocks of 32"}));
  EXPECT_TRUE(Refused(with("u", {576}, 12, 256), {"tensor \"u\"", "Q4_K blocks of 256"}));
  EXPECT_TRUE(Refused(with("u", {8}, 0, 257), {"tensor \"u\"", "not a multiple of the alignment 32"}));
}

TEST(GgufMalformed, TensorPlaces) {
  EXPECT_TRUE(Refused(Good().Tensor("u", {8}, 0, 224).File(256), {"tensors \"t\" and \"u\" overlap"}));
  EXPECT_TRUE(Refused(Good().Tensor("u", {64}, 0, 0).File(256), {"overlap"}));
  EXPECT_TRUE(Refused(Good().Tensor("u", {8}, 0, 256).File(256), {"tensor \"u\"", "beyond the end of the file"}));
  EXPECT_TRUE(
      Refused(Good().Tensor("u", {8}, 0, UINT64_MAX - 31).File(256), {"tensor \"u\"", "beyond the end of the file"}));
  EXPECT_TRUE(Refused(Good().File(255), {"tensor \"t\"", "beyond the end of the file", "truncated"}));
  EXPECT_TRUE(Refused(Good().Header(), {"tensor \"t\"", "beyond the end of the file"}));
  const TempFolder folder;
  const GgufFile header(folder.Write("header.gguf", Good().Header()), GgufFile::Read::kHeader);
  EXPECT_FALSE(header.complete());
  ASSERT_NE(header.Find("t"), nullptr);
  EXPECT_TRUE(header.Find("t")->bytes.empty());
}

TEST(GgufMalformed, EveryTruncationIsAnError) {
  const std::string bytes = FileBytes(TestData("io/tiny-v3.gguf"));
  const TempFolder folder;
  const auto path = folder.Write("bad", bytes);
  for (size_t size = bytes.size() - 32; size-- > 0;) {  // the last tensor ends before its padding
    std::filesystem::resize_file(path, size);
    ASSERT_TRUE(Fails([&] { GgufFile file(path); }, ErrorKind::kInput, {"bad: "})) << size;
  }
}

}  // namespace
}  // namespace qad

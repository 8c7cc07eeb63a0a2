// Files by the reference package, files equal to its, and every way in which a header can lie.
#include "io/safetensors.h"

#include <cstring>

#include "base/json.h"
#include "base/test_files.h"
#include "base/testing.h"

namespace qad {
namespace {

TEST(Safetensors, ReadsTheReferencesFile) {
  const SafetensorsFile file(TestData("io/reference.safetensors"));
  EXPECT_EQ(file.tensors().size(), 14u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.At("matrix").shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(ToFloats(file.At("matrix"))[11], 11.0f / 8);
  EXPECT_EQ(ToFloats(file.At("half")), (std::vector<float>{0.5f, -2, 65504}));
  EXPECT_EQ(ToFloats(file.At("brain")), (std::vector<float>{1, -3}));
  EXPECT_EQ(ToFloats(file.At("codes")), (std::vector<float>{-128, 127}));
  EXPECT_EQ(ToFloats(file.At("bytes")), (std::vector<float>{0, 127, 255}));
  EXPECT_EQ(ToFloats(file.At("flags")), (std::vector<float>{1, 0}));
  EXPECT_EQ(ToFloats(file.At("long")), (std::vector<float>{-1, 0x1p40f}));
  EXPECT_EQ(ToFloats(file.At("double")), std::vector<float>{0.1f});
  EXPECT_EQ(ToFloats(file.At("int")), std::vector<float>{-5});
  EXPECT_EQ(ToFloats(file.At("short")), std::vector<float>{-7});
  EXPECT_EQ(ToFloats(file.At("größe")), std::vector<float>{1});
  EXPECT_TRUE(Fails([&] { file.At("none"); }, ErrorKind::kInput, {"reference.safetensors", "\"none\" is missing"}));
}

TEST(Safetensors, RankZeroAndZeroSize) {
  const SafetensorsFile file(TestData("io/reference.safetensors"));
  EXPECT_TRUE(file.At("scalar").shape.empty());
  EXPECT_EQ(file.At("scalar").Elements(), 1);
  EXPECT_EQ(ToFloats(file.At("scalar")), std::vector<float>{7.5f});
  EXPECT_EQ(file.At("nothing").shape, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(file.At("nothing").Elements(), 0);
  EXPECT_TRUE(SafetensorsFile(TestData("io/empty.safetensors")).tensors().empty());
}

// What was read is written in another order; the bytes are the reference's all the same.
TEST(Safetensors, WritesTheReferencesBytes) {
  const SafetensorsFile file(TestData("io/reference.safetensors"));
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, entry] : file.tensors()) tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
  const TempFolder folder;
  WriteSafetensors(folder / "x.safetensors", tensors, file.metadata());
  EXPECT_EQ(FileBytes(folder / "x.safetensors"), FileBytes(TestData("io/reference.safetensors")));
  WriteSafetensors(folder / "empty.safetensors", {}, {});
  EXPECT_EQ(FileBytes(folder / "empty.safetensors"), FileBytes(TestData("io/empty.safetensors")));
}

TEST(Safetensors, SurvivesAMove) {
  SafetensorsFile file(TestData("io/reference.safetensors"));
  const SafetensorsFile moved = std::move(file);
  EXPECT_EQ(ToFloats(moved.At("scalar")), std::vector<float>{7.5f});
}

TEST(Safetensors, Float8IsNamedAndRefused) {
  const std::vector<std::byte> bytes(2);
  const SafetensorsEntry entry{DType::kF8E4M3, {2}, bytes};
  EXPECT_TRUE(Fails([&] { ToFloats(entry); }, ErrorKind::kInput, {"F8_E4M3"}));
}

std::string File(const std::string& header, size_t data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(data, '\x01');
}

// The message must name the file, too.
::testing::AssertionResult Refused(const std::string& bytes, std::vector<std::string_view> parts) {
  const TempFolder folder;
  const auto path = folder.Write("bad.safetensors", bytes);
  parts.push_back("bad.safetensors");
  return Fails([&] { SafetensorsFile file(path); }, ErrorKind::kInput, parts);
}

// A header that declares one F32 tensor "a", and `more` behind it.
std::string One(const std::string& shape, const std::string& offsets, const std::string& more = "") {
  return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}" + more + "}";
}

TEST(SafetensorsMalformed, TheGoodFileIsGood) {
  const TempFolder folder;
  EXPECT_NO_THROW(SafetensorsFile(folder.Write("a.safetensors", File(One("[2]", "[0,8]") + "     ", 8))));
}

TEST(SafetensorsMalformed, HeaderLength) {
  const auto length = [](uint64_t n) { return std::string(reinterpret_cast<const char*>(&n), 8) + "{}"; };
  EXPECT_TRUE(Refused("", {"offset 0", "the header's length needs 8 bytes, 0 remain"}));
  EXPECT_TRUE(Refused("1234567", {"offset 0", "7 remain"}));
  EXPECT_TRUE(Refused(length(UINT64_MAX), {"offset 0", "exceeds 100000000"}));
  EXPECT_TRUE(Refused(length(100'000'001), {"offset 0", "exceeds 100000000"}));
  EXPECT_TRUE(Refused(length(100'000'000), {"offset 8", "the header needs 100000000 bytes, 2 remain"}));
  EXPECT_TRUE(Refused(length(0), {"offset 8", "does not begin with '{'"}));
  EXPECT_TRUE(Refused(File(" {}", 0), {"offset 8", "does not begin with '{'"}));
}

TEST(SafetensorsMalformed, HeaderText) {
  EXPECT_TRUE(Refused(File("{\"a\":", 0), {"header: not valid JSON"}));
  EXPECT_TRUE(Refused(File("{} x", 0), {"header: not valid JSON"}));
  EXPECT_TRUE(Refused(File(std::string("{}\0\0", 4), 0), {"header: not valid JSON", "NUL"}));
  EXPECT_TRUE(Refused(File("{\"\xff\":1}", 0), {"header: not valid JSON"}));
  EXPECT_TRUE(Refused(File(R"({"a":1})", 0), {"tensor \"a\": expected a JSON object"}));
  EXPECT_TRUE(Refused(File(R"({"__metadata__":{"a":1}})", 0), {"__metadata__ \"a\" must be a string"}));
  EXPECT_TRUE(Refused(File(R"({"__metadata__":"a"})", 0), {"__metadata__"}));
  EXPECT_TRUE(Refused(File(std::string(200000, '{'), 0), {"header"}));
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_TRUE(Refused(File("{\"a\":" + entry + ",\"a\":" + entry + "}", 4), {"header: duplicate key \"a\""}));
  EXPECT_TRUE(Refused(File("{\"\":" + entry + "}", 4), {"a tensor without a name"}));
}

TEST(SafetensorsMalformed, Fields) {
  EXPECT_TRUE(
      Refused(File(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4), {"tensor \"a\": dtype \"F33\""}));
  EXPECT_TRUE(Refused(File(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,4]}})", 4),
                      {"tensor \"a\": \"dtype\" is 5; expected a string"}));
  EXPECT_TRUE(Refused(File(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), {"tensor \"a\": \"dtype\" is missing"}));
  EXPECT_TRUE(
      Refused(File(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), {"tensor \"a\": \"shape\" is missing"}));
  EXPECT_TRUE(Refused(File(R"({"a":{"dtype":"F32","shape":[1]}})", 4), {"tensor \"a\": \"data_offsets\" is missing"}));
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[18446744073709551615]", "[9007199254740993]"})
    EXPECT_TRUE(Refused(File(One(shape, "[0,4]"), 4), {"tensor \"a\"", "a dimension must be a whole number"})) << shape;
  EXPECT_TRUE(Refused(File(One("4", "[0,4]"), 4), {"tensor \"a\"", "\"shape\" must be a list"}));
  for (const char* offsets : {"[0]", "[0,4,8]", "[-4,0]", "[0,4.0]", "[\"0\",\"4\"]", "4"})
    EXPECT_TRUE(Refused(File(One("[1]", offsets), 4), {"tensor \"a\"", "\"data_offsets\" must be two whole numbers"}))
        << offsets;
}

TEST(SafetensorsMalformed, Places) {
  EXPECT_TRUE(Refused(File(One("[1]", "[4,0]"), 4), {"tensor \"a\"", "data_offsets 4..0 lie outside"}));
  EXPECT_TRUE(Refused(File(One("[2]", "[0,8]"), 4), {"tensor \"a\"", "0..8 lie outside the 4 bytes", "truncated"}));
  EXPECT_TRUE(
      Refused(File(One("[1]", "[18446744073709551612,18446744073709551615]"), 4), {"tensor \"a\"", "lie outside"}));
  EXPECT_TRUE(Refused(File(One("[2]", "[0,4]"), 4), {"tensor \"a\"", "hold 4 bytes, its shape and dtype say 8"}));
  EXPECT_TRUE(Refused(File(One("[4294967296,4294967296]", "[0,4]"), 4), {"tensor \"a\"", "too large"}));
  EXPECT_TRUE(Refused(File(One("[4611686018427387904,4]", "[0,0]"), 0), {"tensor \"a\""}));
  EXPECT_TRUE(Refused(File(One("[1]", "[4,8]"), 8), {"tensor \"a\" begins at data offset 4, where 0 was expected"}));
  EXPECT_TRUE(Refused(File(One("[1]", "[0,4]"), 8), {"tensors end at data offset 4, the file's data at 8"}));
  EXPECT_TRUE(Refused(File("{}", 1), {"tensors end at data offset 0"}));
  const std::string b = R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[)";
  EXPECT_TRUE(Refused(File(One("[1]", "[0,4]", b + "0,4]}"), 4), {"hole or an overlap"}));
  EXPECT_TRUE(Refused(File(One("[2]", "[0,8]", b + "4,8]}"), 8), {"tensor \"b\" begins at data offset 4, where 8"}));
  EXPECT_TRUE(Refused(File(One("[1]", "[0,4]", b + "8,12]}"), 12), {"tensor \"b\" begins at data offset 8, where 4"}));
}

TEST(SafetensorsMalformed, EveryTruncationIsAnError) {
  const std::string bytes = FileBytes(TestData("io/reference.safetensors"));
  const TempFolder folder;
  const auto path = folder.Write("bad", bytes);
  for (size_t size = bytes.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    ASSERT_TRUE(Fails([&] { SafetensorsFile file(path); }, ErrorKind::kInput, {"bad: "})) << size;
  }
}

TEST(SafetensorsWrite, AFullDiskLeavesTheOldFile) {
  const TempFolder folder;
  folder.Write("x.safetensors/in_the_way", "");
  const std::vector<std::byte> data(4);
  EXPECT_TRUE(Fails(
      [&] {
        WriteSafetensors(folder / "x.safetensors", {{"a", DType::kF32, {1}, data}});
      },
      ErrorKind::kFailed, {"x.safetensors"}));
  EXPECT_TRUE(std::filesystem::exists(folder / "x.safetensors/in_the_way"));
}

}  // namespace
}  // namespace qad

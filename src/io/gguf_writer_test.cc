#include "io/gguf_writer.h"

#include <cstring>

#include "base/test_files.h"
#include "base/testing.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

class GgufWriting : public ::testing::Test {
 protected:
  TempFolder folder_;
  fs::path path_ = folder_ / "written.gguf";
};

std::vector<GgufTensorToWrite> Tensors(const std::vector<std::byte>& bytes) {
  const auto all = [&bytes] { return std::span<const std::byte>(bytes); };
  return {{"b", FormatId::kQ8_0, {3, 64}, [all] { return all().first(3 * 2 * 34); }},
          {"a", FormatId::kF32, {5}, [all] { return all().first(20); }},
          {"c", FormatId::kQ4_K, {1, 2, 256}, [all] { return all().first(2 * 144); }}};
}

GgufMetadata Metadata() {
  GgufMetadata metadata;
  metadata.SetString("general.architecture", "llama");
  metadata.SetU32("llama.block_count", 2);
  metadata.SetF32("llama.rope.freq_base", 5000.5f);
  metadata.SetBool("tokenizer.ggml.add_bos_token", true);
  metadata.SetStrings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "", "größe"});
  metadata.SetI32s("tokenizer.ggml.token_type", std::vector<int32_t>{1, 3, -1});
  metadata.SetF32s("tokenizer.ggml.scores", std::vector<float>{0.5f, -1.0f});
  return metadata;
}

TEST_F(GgufWriting, IsReadAgain) {
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  GgufMetadata metadata = Metadata();
  metadata.SetU32("llama.block_count", 3);  // replaces
  metadata.SetString("gone", "x");
  metadata.Remove("gone");
  WriteGguf(path_, metadata, Tensors(bytes));
  const GgufFile file(path_);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.metadata().size(), 7u);
  EXPECT_EQ(file.Int("llama.block_count", 0, 10), 3);
  EXPECT_EQ(file.NumberOr("llama.rope.freq_base", 0), 5000.5);
  EXPECT_TRUE(file.BoolOr("tokenizer.ggml.add_bos_token", false));
  EXPECT_EQ(file.Strings("tokenizer.ggml.tokens"), (std::vector<std::string>{"a", "", "größe"}));
  EXPECT_EQ(file.Ints("tokenizer.ggml.token_type"), (std::vector<int64_t>{1, 3, -1}));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.tensors()[2].shape, (std::vector<int64_t>{1, 2, 256}));
  for (const GgufTensor& tensor : file.tensors()) {
    EXPECT_EQ(tensor.offset % 32, 0u);
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), bytes.data(), tensor.bytes.size()), 0) << tensor.name;
  }
}

TEST_F(GgufWriting, CopiesKeysWithTheirTypes) {
  const std::vector<std::byte> bytes(1000);
  WriteGguf(path_, Metadata(), Tensors(bytes));
  GgufMetadata copied;
  copied.Copy(GgufFile(path_));
  EXPECT_EQ(copied.Bytes(), Metadata().Bytes());
}

TEST_F(GgufWriting, LeavesWhatWasThereWhenItFails) {
  const std::vector<std::byte> bytes(1000);
  WriteGguf(path_, Metadata(), Tensors(bytes));
  const std::string before = FileBytes(path_);
  std::vector<GgufTensorToWrite> tensors = Tensors(bytes);
  tensors[2].make = []() -> std::span<const std::byte> { throw std::runtime_error("interrupted"); };
  EXPECT_THROW(WriteGguf(path_, Metadata(), tensors), std::runtime_error);
  EXPECT_EQ(FileBytes(path_), before);
}

}  // namespace
}  // namespace qad

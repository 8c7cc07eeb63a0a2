#include "base/test_files.h"
#include "commands/command.h"

namespace qad {
namespace {

// What `qad tokenize ARGUMENTS` prints.
std::string Tokenize(std::vector<std::string> arguments, bool json = false) {
  CLI::App app;
  const GlobalFlags flags{.json = json};
  const std::function<void()> action = AddTokenizeCommand(app, flags);
  std::ranges::reverse(arguments);  // as CLI11 takes them
  app.parse(arguments);
  ::testing::internal::CaptureStdout();
  try {
    action();
  } catch (...) {
    ::testing::internal::GetCapturedStdout();
    throw;
  }
  return ::testing::internal::GetCapturedStdout();
}

TEST(Tokenize, FolderWithNothingButATokenizer) {
  const std::string folder = TestData("text/bytelevel-smollm").string();
  EXPECT_EQ(Tokenize({folder, "--text", "Hello, world!"}), "42 71 280 81 14 272 81 84 78 70 3\n");
  EXPECT_EQ(Tokenize({folder, "--text", "a"}, true), "{\n  \"ids\": [\n    67\n  ]\n}\n");
  EXPECT_EQ(Tokenize({folder, "--text", ""}), "\n");
}

TEST(Tokenize, SpecialTokens) {
  const std::string folder = TestData("text/bytelevel-smollm").string();
  EXPECT_EQ(Tokenize({folder, "--text", "<|im_end|>"}), "2\n");
  EXPECT_NE(Tokenize({folder, "--text", "<|im_end|>", "--no-special"}), "2\n");
}

TEST(Tokenize, FilesAndRanks) {
  const TempFolder folder;
  const std::string ranks = folder.Write("x.tiktoken", "YQ== 0\nYg== 1\nYWI= 2\n").string(),
                    text = folder.Write("t", "abba").string();
  EXPECT_EQ(Tokenize({ranks, "--file", text}), "2 1 0\n");
}

TEST(Tokenize, BadUse) {
  EXPECT_THROW(Tokenize({"x", "--file", "a", "--text", "b"}), CLI::ParseError);
  EXPECT_THROW(Tokenize({}), CLI::ParseError);
  EXPECT_TRUE(Fails([] { Tokenize({"no/such", "--text", "a"}); }, ErrorKind::kInput, {"no/such"}));
  EXPECT_TRUE(Fails(
      [] {
        Tokenize({TestData("io/tiny-v3.gguf").string(), "--text", "a"});
      },
      ErrorKind::kInput, {"tokenizer.ggml.model", "missing"}));
}

}  // namespace
}  // namespace qad

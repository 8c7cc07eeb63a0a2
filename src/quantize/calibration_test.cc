#include "quantize/calibration.h"

#include <algorithm>

#include "base/error.h"
#include "base/test_files.h"
#include "base/testing.h"
#include "model/load.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

class CalibrationTexts : public ::testing::Test {
 protected:
  void SetUp() override {
    tiny::WriteGguf(folder_ / "model.gguf", FormatId::kQ8_0);
    files_ = OpenModel(folder_ / "model.gguf");
  }
  Calibration Read(const std::string& name, const std::string& text, const CalibrationOptions& options) const {
    WriteFileAtomic(folder_ / name, text);
    return ReadCalibration(folder_ / name, files_, options);
  }
  TempFolder folder_;
  ModelFiles files_;
};

std::string Letters(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += static_cast<char>('A' + i * 7 % 26);
  return text;
}

TEST_F(CalibrationTexts, TextIsCutInOrder) {
  const std::string text = Letters(330);
  const Calibration all = Read("text.txt", text, {.samples = 100, .length = 32});
  const std::vector<TokenId> tokens = LoadTokenizer(files_).Encode(text);
  ASSERT_EQ(tokens.size(), 330u);
  EXPECT_EQ(all.samples.size(), 10u);  // the last 10 tokens are less than half a piece
  EXPECT_EQ(all.tokens(), 320u);
  EXPECT_EQ(all.samples[3], std::vector<TokenId>(tokens.begin() + 96, tokens.begin() + 128));
  EXPECT_EQ(all.sha256.size(), 64u);
  // Pieces are never longer than the model's 40 positions, one of them kept for BOS.
  EXPECT_EQ(Read("text.txt", text, {.samples = 100, .length = 512}).samples.front().size(), 39u);
}

// Items go through the model's chat template as they do in use, with the answer and the end of its turn.
TEST_F(CalibrationTexts, ItemsAreChatsWithTheirAnswers) {
  tiny::WriteFolder(folder_ / "chat",
                    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})",
                    DType::kF32);
  fs::copy_file(TestData("text/bytelevel-smollm/tokenizer.json"), folder_ / "chat" / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  const Json golden = ReadJsonFile(TestData("text/golden.json"));
  WriteFileAtomic(folder_ / "chat" / "tokenizer_config.json",
                  DumpJson(Json{{"eos_token", "<|im_end|>"}, {"chat_template", golden["chat_template"]}}));
  files_ = OpenModel(folder_ / "chat");
  const Calibration chats = Read("items.jsonl",
                                 R"({"prompt": "What is thing 1?", "completion": "It is eleven."})"
                                 "\n"
                                 R"({"prompt": "And 2?", "completion": "That is twelve.", "system": "Own words."})"
                                 "\n",
                                 {.samples = 10, .length = 200, .system_prompt = "Common words."});
  const Tokenizer tokenizer = LoadTokenizer(files_);
  ASSERT_EQ(chats.samples.size(), 2u);
  const auto text = [&](size_t i) { return tokenizer.Decode(chats.samples[i]); };
  for (const char* part : {"Common words.", "What is thing 1?", "It is eleven."})
    EXPECT_NE(text(0).find(part), std::string::npos) << part << " in " << text(0);
  for (const char* part : {"Own words.", "And 2?", "That is twelve."})
    EXPECT_NE(text(1).find(part), std::string::npos) << part << " in " << text(1);
  EXPECT_EQ(text(1).find("Common"), std::string::npos) << "the item has a system message of its own";
  EXPECT_LT(text(0).find("thing 1?"), text(0).find("eleven"));
  const std::vector<TokenId>& tokens = chats.samples[0];
  EXPECT_TRUE(std::ranges::any_of(tokens, [&](TokenId token) { return tokenizer.IsEndOfGeneration(token); }))
      << text(0);
}

TEST_F(CalibrationTexts, TheSeedChoosesInTheOrderOfTheFile) {
  const std::string text = Letters(1600);
  const auto all = Read("text.txt", text, {.samples = 100, .length = 32}).samples;
  ASSERT_EQ(all.size(), 50u);
  const auto chosen = Read("text.txt", text, {.samples = 10, .length = 32, .seed = 1}).samples;
  ASSERT_EQ(chosen.size(), 10u);
  auto at = all.begin();
  for (const auto& sample : chosen) {
    at = std::find(at, all.end(), sample);
    ASSERT_NE(at, all.end());
    ++at;
  }
  EXPECT_EQ(Read("text.txt", text, {.samples = 10, .length = 32, .seed = 1}).samples, chosen);
  EXPECT_NE(Read("text.txt", text, {.samples = 10, .length = 32, .seed = 2}).samples, chosen);
}

TEST_F(CalibrationTexts, DatasetsGiveOneSampleAnItem) {
  std::string lines;
  for (int i = 0; i < 5; ++i) lines += R"({"text": ")" + Letters(30 + static_cast<size_t>(i)) + "\"}\n";
  const Calibration read = Read("data.jsonl", lines, {.samples = 100, .length = 32});
  ASSERT_EQ(read.samples.size(), 5u);
  EXPECT_EQ(read.samples[0].size(), 30u);
  EXPECT_EQ(read.samples[4].size(), 32u);
}

TEST_F(CalibrationTexts, EveryEighthSampleIsHeldOut) {
  Calibration read = Read("text.txt", Letters(32 * 20), {.samples = 20, .length = 32});
  const std::vector<std::vector<TokenId>> all = read.samples;
  const std::vector<std::vector<TokenId>> held_out = HoldOut(read);
  EXPECT_EQ(held_out.size() + read.samples.size(), all.size());
  EXPECT_EQ(held_out.size(), all.size() / 8);
  std::vector<std::vector<TokenId>> both = held_out;
  both.insert(both.end(), read.samples.begin(), read.samples.end());
  EXPECT_TRUE(std::ranges::is_permutation(both, all));
  Calibration one{.samples = {all.front()}, .source = {}, .sha256 = {}};
  EXPECT_THROW((void)HoldOut(one), Error);
  // What is judged on must be enough, too.
  Calibration few{.samples = {8, std::vector<TokenId>(20)}, .source = "few", .sha256 = {}};
  EXPECT_TRUE(Fails([&] { (void)HoldOut(few); }, ErrorKind::kInput, {"few (samples held out)", "20 tokens"}));
}

TEST_F(CalibrationTexts, TheModelMakesUpItsOwn) {
  const CalibrationOptions options{.samples = 6, .length = 30, .seed = 1};
  const fs::path model = folder_ / "model.gguf";
  tiny::WriteGguf(model, FormatId::kQ8_0, false);
  const Calibration made = GenerateCalibration(model, options, 2);
  EXPECT_LE(made.samples.size(), 6u);
  EXPECT_GE(made.tokens(), kLeastCalibrationTokens);
  for (const std::vector<TokenId>& sample : made.samples) {
    EXPECT_TRUE(!sample.empty() && sample.size() <= 30);
    for (const TokenId token : sample) EXPECT_TRUE(token >= 0 && token < 70);
  }
  EXPECT_EQ(GenerateCalibration(model, options, 1).samples, made.samples);  // whatever the threads
  EXPECT_NE(GenerateCalibration(model, {.samples = 6, .length = 30, .seed = 2}, 2).samples, made.samples);
  EXPECT_THROW((void)GenerateCalibration(model, {.samples = 1, .length = 30}, 2), Error);
}

TEST_F(CalibrationTexts, TooLittleIsRefused) {
  EXPECT_THROW((void)Read("text.txt", Letters(30), {}), Error);
  EXPECT_THROW((void)Read("text.txt", "", {}), Error);
  EXPECT_THROW((void)Read("data.jsonl", "{\"text\"", {}), Error);
}

}  // namespace
}  // namespace qad

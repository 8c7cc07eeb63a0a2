#include "model/generation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "base/test_files.h"
#include "model/footprint.h"
#include "model/load.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// A random Llama of 4,096 positions and a vocabulary for it.
class Generation : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string json = tiny::kLlama;
    const std::string positions = "\"max_position_embeddings\": 40";
    json.replace(json.find(positions), positions.size(), "\"max_position_embeddings\": 4096");
    tiny::WriteFolder(folder_ / "model", json.c_str(), DType::kF32);
    tiny::WriteGguf(folder_ / "vocabulary.gguf", FormatId::kQ8_0);
    tokenizer_.emplace(LoadTokenizer(OpenModel(folder_ / "vocabulary.gguf")));
    const ModelFiles files = OpenModel(folder_ / "model");
    model_.emplace(std::make_shared<const Weights>(PlanOf(files, WeightMode::kF32), files));
    options_.max_new_tokens = 3;
    options_.ignore_end = true;
    options_.kv_type = FormatId::kF32;
  }

  std::vector<float> LogitsAfter(const std::vector<TokenId>& sequence) {
    KvCache cache(model_->config(), 1, sequence.size(), FormatId::kF32);
    const Segment segment{.slot = 0, .start = 0, .tokens = sequence};
    const size_t last = sequence.size() - 1;
    std::vector<float> logits(model_->config().vocab);
    model_->Forward(context_, std::span(&segment, 1), cache, std::span(&last, 1), logits.data());
    return logits;
  }

  static std::vector<TokenId> Text(size_t length, size_t seed) {
    std::vector<TokenId> text(length);
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<TokenId>((i * i + seed * (i + 1)) % 61);
    return text;
  }

  std::vector<Generated> Run(const std::vector<std::vector<TokenId>>& prompts) {
    return Generate(context_, *model_, *tokenizer_, prompts, options_);
  }

  TempFolder folder_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Transformer> model_;
  Context context_{Numerics::kExact, 2};
  GenerateOptions options_;
};

// Of a tiny model, SmolLM2, 1.4B, 7B and 70B: 24 MiB of activations where that is between 128 and 1,024 rows.
TEST(Footprint, WideModelsGoInShorterSteps) {
  const auto rows = [](size_t hidden, size_t intermediate, size_t heads, size_t kv_heads) {
    const ModelConfig config = tiny::Config(
        fmt::format(
            R"({{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 70, "hidden_size": {},
  "intermediate_size": {}, "num_hidden_layers": 2, "num_attention_heads": {}, "num_key_value_heads": {},
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true}})",
            hidden, intermediate, heads, kv_heads)
            .c_str());
    const size_t step = StepRows(config);
    EXPECT_TRUE(step == 128 || WorkspaceBytes(config, step) <= size_t{24} << 20) << hidden;
    return step;
  };
  EXPECT_EQ(rows(64, 128, 4, 2), 1024u);
  EXPECT_EQ(rows(576, 1536, 9, 3), 1024u);
  EXPECT_EQ(rows(2048, 8192, 32, 8), 256u);
  EXPECT_EQ(rows(4096, 11008, 32, 32), 192u);
  EXPECT_EQ(rows(8192, 28672, 64, 8), 128u);
}

// A prompt of more than a step's rows: the workspace stays that of a step, and the answer is that of one long pass.
TEST_F(Generation, LongPromptsGoInSteps) {
  const size_t step = StepRows(model_->config());
  const std::vector<std::vector<TokenId>> prompts = {Text(2 * step + 77, 0), {1, 2, 3}};
  const std::vector<std::vector<TokenId>> references = {Text(50, 3), {}};
  options_.references = references;
  const std::vector<Generated> got = Run(prompts);
  EXPECT_LE(model_->workspace_bytes(), WorkspaceBytes(model_->config(), step));
  std::vector<TokenId> sequence = prompts[0];
  for (const TokenId token : got[0].tokens) {
    const std::vector<float> logits = LogitsAfter(sequence);
    sequence.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
    EXPECT_EQ(token, sequence.back());
  }
  EXPECT_EQ(got[1].tokens.size(), 3u);
}

// The probability of a reference is what token by token gives, and measuring it changes no answer.
TEST_F(Generation, ReferencesAreScoredOnTheWay) {
  std::vector<std::vector<TokenId>> prompts, references;
  for (size_t i = 0; i < 5; ++i) {
    prompts.push_back(Text(20, 0));  // a common prefix, computed once
    for (const TokenId token : Text(3 + 7 * i, i + 1)) prompts.back().push_back(token);
    references.push_back(Text(i == 2 ? 0 : 9 - i, i + 9));
  }
  options_.max_batch = 2;  // sequences join while others are answering
  const std::vector<Generated> without = Run(prompts);
  options_.references = references;
  const std::vector<Generated> with = Run(prompts);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(with[i].tokens, without[i].tokens) << i;
    EXPECT_EQ(without[i].reference_log_probability, 0);
    double expected = 0;
    std::vector<TokenId> sequence = prompts[i];
    for (const TokenId token : references[i]) {
      const std::vector<float> logits = LogitsAfter(sequence);
      double sum = 0;
      for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
      expected += static_cast<double>(logits[static_cast<size_t>(token)]) - std::log(sum);
      sequence.push_back(token);
    }
    // f32 logits summed in another order: 1e-6 a token.
    EXPECT_NEAR(with[i].reference_log_probability, expected, 1e-5) << i;
  }
}

// One that does not fit a step, behind a prompt that does, is scored a step at a time.
TEST_F(Generation, ReferencesLongerThanAStepAreScored) {
  const size_t step = StepRows(model_->config());
  const std::vector<std::vector<TokenId>> prompts = {Text(9, 1), Text(12, 2), Text(7, 3)};
  const std::vector<std::vector<TokenId>> references = {Text(2 * step + 5, 4), Text(step, 5), Text(3, 6)};
  const std::vector<Generated> without = Run(prompts);
  options_.references = references;
  options_.max_batch = 2;
  const std::vector<Generated> with = Run(prompts);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(with[i].tokens, without[i].tokens) << i;
    std::vector<TokenId> whole = prompts[i];
    whole.insert(whole.end(), references[i].begin(), references[i].end() - 1);
    KvCache cache(model_->config(), 1, whole.size(), FormatId::kF32);
    const Segment segment{.slot = 0, .start = 0, .tokens = whole};
    model_->Run(context_, std::span(&segment, 1), cache);
    std::vector<size_t> rows(references[i].size());
    std::iota(rows.begin(), rows.end(), prompts[i].size() - 1);
    double want = 0;
    for (const double log : model_->LogProbabilities(context_, rows, references[i])) want += log;
    // Sums of f32 in another order, 1e-6 a token.
    EXPECT_NEAR(with[i].reference_log_probability, want, 1e-6 * static_cast<double>(rows.size())) << i;
  }
}

// In fast mode, too, where few rows meet weights otherwise than many do, nor on what is computed once for all or behind
// a prompt. In bf16 to the last bit; in f32 the order of sums hangs on how many rows there are.
TEST_F(Generation, FastAnswersDoNotDependOnTheBatch) {
  std::vector<std::vector<TokenId>> prompts, references;
  for (size_t i = 0; i < 24; ++i) {
    prompts.push_back(Text(8, 0));
    for (const TokenId token : Text(1 + i, i + 1)) prompts.back().push_back(token);
    references.push_back(Text(1 + i % 5, 100 + i));
  }
  options_.max_new_tokens = 6;
  options_.references = references;
  for (const FormatId format : {FormatId::kQ8_0, FormatId::kQ5_1, FormatId::kQ4_0, FormatId::kBF16, FormatId::kF32}) {
    tiny::WriteGguf(folder_ / "model.gguf", format);
    const ModelFiles files = OpenModel(folder_ / "model.gguf");
    Transformer model(std::make_shared<const Weights>(PlanOf(files, WeightMode::kAsStored), files));
    Context context(Numerics::kFast, 2);
    options_.max_batch = 1;
    options_.references = references;
    const std::vector<Generated> alone = Generate(context, model, *tokenizer_, prompts, options_, false);
    for (const auto& [batch, share, scored] :
         {std::tuple{4, false, true}, {20, false, true}, {1, true, true}, {20, true, true}, {20, true, false}}) {
      options_.max_batch = static_cast<size_t>(batch);
      options_.references = scored ? references : std::span<const std::vector<TokenId>>();
      const std::vector<Generated> together = Generate(context, model, *tokenizer_, prompts, options_, share);
      for (size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(together[i].tokens, alone[i].tokens) << GetFormat(format).name << " " << batch << " " << i;
        if (!scored) continue;
        const double want = alone[i].reference_log_probability;
        const bool exact = context.own_bf16() && format != FormatId::kF32;
        EXPECT_NEAR(together[i].reference_log_probability, want, exact ? 0 : 1e-5 * std::fabs(want))
            << GetFormat(format).name << " " << batch << " " << share << " " << i;
      }
    }
  }
}

TEST_F(Generation, AnswersAndReferencesMustFitThePositions) {
  const std::vector<std::vector<TokenId>> prompts = {Text(4090, 1)}, fits = {Text(6, 2)}, longer = {Text(7, 2)};
  options_.references = fits;
  EXPECT_NO_THROW(Run(prompts));
  options_.references = longer;
  EXPECT_THROW(Run(prompts), Error);
}

}  // namespace
}  // namespace qad

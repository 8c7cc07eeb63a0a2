#include "model/generation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "model/footprint.h"
#include "model/load.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// A prompt of more than a step's rows: the workspace stays that of a step, and the answer is that of one long pass.
TEST(Generate, LongPromptsGoInSteps) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("generation_test." + std::to_string(::getpid()));
  std::string json = tiny::kLlama;
  const std::string positions = "\"max_position_embeddings\": 40";
  json.replace(json.find(positions), positions.size(), "\"max_position_embeddings\": 4096");
  tiny::WriteFolder(folder / "model", json.c_str(), DType::kF32);
  tiny::WriteGguf(folder / "vocabulary.gguf", FormatId::kQ8_0);
  const Tokenizer tokenizer = LoadTokenizer(OpenModel(folder / "vocabulary.gguf"));
  const ModelFiles files = OpenModel(folder / "model");
  Transformer model(std::make_shared<const Weights>(PlanOf(files, WeightMode::kF32), files));
  std::vector<TokenId> prompt(2 * kStepRows + 77);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(i * i % 61);

  Context context(Numerics::kExact, 2);
  GenerateOptions options;
  options.max_new_tokens = 3;
  options.ignore_end = true;
  options.kv_type = KvType::kF32;
  const std::vector<std::vector<TokenId>> prompts = {prompt, {1, 2, 3}};
  const std::vector<Generated> got = Generate(context, model, tokenizer, prompts, options);
  EXPECT_LE(model.workspace_bytes(), WorkspaceBytes(model.config(), kStepRows));

  std::vector<TokenId> sequence = prompt;
  for (int step = 0; step < options.max_new_tokens; ++step) {
    KvCache cache(model.config(), 1, sequence.size(), KvType::kF32);
    const Segment segment{.slot = 0, .start = 0, .tokens = sequence};
    const size_t last = sequence.size() - 1;
    std::vector<float> logits(model.config().vocab);
    model.Forward(context, std::span(&segment, 1), cache, std::span(&last, 1), logits.data());
    sequence.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
    EXPECT_EQ(got[0].tokens[static_cast<size_t>(step)], sequence.back()) << "token " << step;
  }
  EXPECT_EQ(got[1].tokens.size(), 3u);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace qad

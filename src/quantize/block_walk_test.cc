// The walk through blocks against the transformer itself.
#include "quantize/block_walk.h"

#include "quantize/model_testing.h"

namespace qad {
namespace {

constexpr const char* kBiased =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 50,
  "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "attention_bias": true, "mlp_bias": true,
  "tie_word_embeddings": true})";

using BlockWalkTest = QuantizedModel;

TEST_F(BlockWalkTest, EndsWhereTheTransformerDoes) {
  for (const char* config : {kWide, kBiased, kWideGpt2}) {
    tiny::WriteFolder(folder_ / "model", config, DType::kF32);
    const ModelFiles files = OpenModel(folder_ / "model");
    const Plan plan = PlanOf(files, WeightMode::kF32);
    Context context(Numerics::kExact, 2);
    BlockWalk walk(files, plan, calibration_.samples, context);
    for (size_t layer = 0; layer < walk.layers(); ++layer) {
      walk.Load(layer);
      for (const BlockWalk::Input input : BlockWalk::kInputs) (void)walk.Compute(input);
      walk.Finish();
    }
    const BlockInput output = walk.Output();  // behind the final norm
    const std::vector<float> want = Logits(folder_ / "model");
    const size_t vocab = plan.config.vocab;
    std::vector<float> got(output.rows * vocab);
    const auto weights = std::make_shared<const Weights>(PlanOf(files, WeightMode::kF32), files);
    const MatrixView head = weights->Matrix(Role::kTokenEmbedding, -1);
    for (size_t row = 0; row < output.rows; ++row)
      DotRows(head, 0, vocab, output.data + row * plan.config.hidden, 1, plan.config.hidden, got.data() + row * vocab,
              vocab);
    EXPECT_TRUE(AllClose(got, want, 2e-5, 2e-5)) << plan.config.family->name;
  }
}

// Back at a block's beginning its inputs are what they were, whatever has been computed in between.
TEST_F(BlockWalkTest, RestartsWhereTheBlockBegan) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  const ModelFiles files = OpenModel(folder_ / "model");
  const Plan plan = PlanOf(files, WeightMode::kF32);
  Context context(Numerics::kExact, 2);
  BlockWalk walk(files, plan, calibration_.samples, context);
  walk.Load(0, true);
  const auto inputs = [&] {
    std::vector<std::vector<float>> all;
    for (const BlockWalk::Input input : BlockWalk::kInputs) {
      const BlockInput rows = walk.Compute(input);
      all.emplace_back(rows.data, rows.data + rows.rows * rows.width);
    }
    return all;
  };
  const auto first = inputs();
  walk.Restart();
  EXPECT_EQ(inputs(), first);
  // A changed weight changes what comes behind it, and nothing before.
  for (float& w : walk.Matrix(Role::kV)) w *= 2;
  walk.Restart();
  const auto changed = inputs();
  EXPECT_EQ(changed[0], first[0]);
  EXPECT_NE(changed[1], first[1]);
}

}  // namespace
}  // namespace qad

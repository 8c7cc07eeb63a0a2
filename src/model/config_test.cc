#include "model/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"
#include "io/gguf_builder.h"

namespace qad {
namespace {

const Json kLlama = {{"architectures", {"LlamaForCausalLM"}},
                     {"vocab_size", 96},
                     {"hidden_size", 32},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 4},
                     {"num_key_value_heads", 2},
                     {"intermediate_size", 64},
                     {"max_position_embeddings", 128}};

const Json kGpt2 = {{"model_type", "gpt2"}, {"vocab_size", 80}, {"n_embd", 24},
                    {"n_layer", 2},         {"n_head", 3},      {"n_positions", 64}};

std::string ErrorOf(const Json& config) {
  try {
    RequireRunnable(ParseModelConfig(config, "config.json"), "config.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_TRUE(std::string(error.what()).starts_with("config.json")) << error.what();
    return error.what();
  }
  return "";
}

Json With(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config;
}

TEST(ModelConfig, ReadsLlama) {
  const ModelConfig config = ParseModelConfig(kLlama, "config.json");
  EXPECT_EQ(config.family->name, "llama");
  EXPECT_EQ(config.head_dim, 8u);
  EXPECT_EQ(config.kv_heads, 2u);
  EXPECT_EQ(config.qkv_outputs(), 64u);
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.rope_theta, 10000.0f);
  EXPECT_EQ(ParseModelConfig(With(kLlama, "head_dim", 16), "").head_dim, 16u);
  EXPECT_EQ(ParseModelConfig(With(kLlama, "rope_theta", 5e5), "").rope_theta, 5e5f);
  EXPECT_EQ(ParseModelConfig(With(kLlama, "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 500.0}}), "")
                .rope_theta,
            500.0f);
  Json no_kv = kLlama;
  no_kv.erase("num_key_value_heads");
  EXPECT_EQ(ParseModelConfig(no_kv, "").kv_heads, 4u);
}

TEST(ModelConfig, ReadsGpt2) {
  const ModelConfig config = ParseModelConfig(kGpt2, "config.json");
  EXPECT_EQ(config.family->name, "gpt2");
  EXPECT_EQ(config.intermediate, 96u);
  EXPECT_TRUE(config.tied_head);
  EXPECT_TRUE(config.mlp_bias);
}

TEST(ModelConfig, NamesWhatIsWrong) {
  struct Row {
    Json config;
    const char* says;
  };
  Json no_hidden = kLlama;
  no_hidden.erase("hidden_size");
  const Row rows[] = {
      {With(kLlama, "architectures", {"MambaForCausalLM"}), "MambaForCausalLM"},
      {With(kLlama, "architectures", "LlamaForCausalLM"), "architectures"},
      {With(kLlama, "architectures", Json::array()), "architectures"},
      {no_hidden, "hidden_size"},
      {With(kLlama, "hidden_size", "32"), "hidden_size"},
      {With(kLlama, "hidden_size", 32.5), "hidden_size"},
      {With(kLlama, "hidden_size", -32), "hidden_size"},
      {With(kLlama, "hidden_size", 0), "hidden_size"},
      {With(kLlama, "hidden_size", int64_t{1} << 40), "hidden_size"},
      {With(kLlama, "hidden_size", 30), "30"},
      {With(kLlama, "num_key_value_heads", 3), "3"},
      {With(kLlama, "num_attention_heads", 0), "num_attention_heads"},
      {With(kLlama, "head_dim", 7), "7"},
      {With(kLlama, "vocab_size", 0), "vocab_size"},
      {With(kLlama, "num_hidden_layers", 1000000), "num_hidden_layers"},
      {With(kLlama, "hidden_act", "relu"), "relu"},
      {With(kLlama, "rms_norm_eps", "small"), "rms_norm_eps"},
      {With(kLlama, "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}), "llama3"},
      {With(kLlama, "rope_parameters", {{"rope_type", "yarn"}, {"rope_theta", 1e4}}), "yarn"},
      {With(kLlama, "sliding_window", 64), "sliding"},
      {With(kLlama, "partial_rotary_factor", 0.5), "partial_rotary_factor is 0.5"},
      {With(kLlama, "rope_parameters", {{"partial_rotary_factor", 0.25}}), "partial_rotary_factor is 0.25"},
      {With(kGpt2, "activation_function", "relu"), "relu"},
      {With(kGpt2, "scale_attn_weights", false), "scale_attn_weights is false"},
      {With(kGpt2, "scale_attn_by_inverse_layer_idx", true), "scale_attn_by_inverse_layer_idx is true"},
      {With(kLlama, "architectures", {"Qwen2ForCausalLM"}), "qwen2"},
  };
  for (const Row& row : rows) {
    const std::string error = ErrorOf(row.config);
    EXPECT_NE(error.find(row.says), std::string::npos) << "\"" << row.says << "\" is not in: " << error;
  }
  EXPECT_EQ(ErrorOf(kLlama), "");
  EXPECT_EQ(ErrorOf(With(kLlama, "partial_rotary_factor", 1.0)), "");
  EXPECT_EQ(ErrorOf(With(kGpt2, "scale_attn_weights", true)), "");
  EXPECT_EQ(ErrorOf(With(kGpt2, "scale_attn_by_inverse_layer_idx", false)), "");
  EXPECT_EQ(ErrorOf(With(kGpt2, "reorder_and_upcast_attn", true)), "") << "the same sums in another order";
  EXPECT_EQ(ErrorOf(With(kLlama, "sliding_window", 128)), "") << "as long as the context: no window at all";
}

// Layers whose attention has no window, in the three ways that files say it.
TEST(ModelConfig, WindowsMayBeOfSomeLayersOnly) {
  const auto full_layers = [](const Json& config) { return ParseModelConfig(config, "config.json").full_layers; };
  Json gemma =
      With(With(With(kLlama, "sliding_window", 64), "hidden_activation", "gelu_pytorch_tanh"), "num_hidden_layers", 5);
  gemma["architectures"] = {"Gemma2ForCausalLM"};
  EXPECT_EQ(full_layers(gemma), 2u);  // of five, the second and the fourth
  EXPECT_EQ(full_layers(With(gemma, "sliding_window_pattern", 5)), 1u);
  gemma["layer_types"] = {"sliding_attention", "sliding_attention", "full_attention", "full_attention",
                          "full_attention"};
  EXPECT_EQ(full_layers(gemma), 3u);
  gemma["layer_types"] = {"full_attention"};
  EXPECT_NE(ErrorOf(gemma).find("\"layer_types\" must list 5 layers"), std::string::npos);
  Json qwen = With(With(kLlama, "sliding_window", 64), "max_window_layers", 1);
  qwen["architectures"] = {"Qwen3ForCausalLM"};
  EXPECT_EQ(ParseModelConfig(qwen, "").sliding_window, 0u) << "not used unless the file says so";
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(ParseModelConfig(qwen, "").sliding_window, 64u);
  EXPECT_EQ(full_layers(qwen), 1u);
}

TEST(ModelConfig, MixturesOfExpertsAreRefused) {
  EXPECT_NE(ErrorOf(With(kLlama, "num_local_experts", 8)).find("a mixture of 8 experts"), std::string::npos);
  EXPECT_EQ(ErrorOf(With(kLlama, "num_local_experts", 1)), "");
}

TEST(ModelConfig, OfTextsAndImagesTheTextsAreRead) {
  const ModelConfig config = ParseModelConfig(
      {{"architectures", {"Gemma3ForConditionalGeneration"}},
       {"model_type", "gemma3"},
       {"text_config",
        {{"model_type", "gemma3_text"}, {"hidden_size", 64}, {"intermediate_size", 96}, {"num_hidden_layers", 12}}}},
      "config.json");
  EXPECT_EQ(config.family->name, "gemma3");
  EXPECT_EQ(config.vocab, 262'208u) << "what the file leaves out is Gemma3TextConfig's";
  EXPECT_EQ(config.head_dim, 256u);
  EXPECT_EQ(config.full_layers, 2u);
}

GgufBuilder LlamaGguf() {
  GgufBuilder out;
  out.String("general.architecture", "llama").U32("llama.embedding_length", 32).U32("llama.block_count", 2);
  out.U32("llama.attention.head_count", 4).U32("llama.feed_forward_length", 64).U32("llama.context_length", 128);
  out.U32("llama.vocab_size", 96);
  return out;
}

std::string GgufError(const GgufBuilder& builder, uint64_t data_bytes = 0) {
  const TempFolder folder;
  const std::filesystem::path path = folder.Write("model.gguf", builder.File(data_bytes));
  try {
    RequireRunnable(ParseModelConfig(GgufFile(path)), path.string());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    return error.what();
  }
  return "";
}

TEST(ModelConfig, GgufRotarySettingsThatAreNotRunAreErrors) {
  EXPECT_EQ(GgufError(LlamaGguf().U32("llama.rope.dimension_count", 8)), "");
  EXPECT_NE(GgufError(LlamaGguf().U32("llama.rope.dimension_count", 4)).find("llama.rope.dimension_count is 4"),
            std::string::npos);
  EXPECT_NE(GgufError(LlamaGguf().String("llama.rope.scaling.type", "yarn")).find("yarn"), std::string::npos);
  EXPECT_NE(GgufError(LlamaGguf().U32("llama.expert_count", 8)).find("a mixture of 8 experts"), std::string::npos);
  EXPECT_NE(GgufError(LlamaGguf().Tensor("rope_freqs.weight", {4}, 0, 0), 32).find("llama3"), std::string::npos);
}

TEST(ModelConfig, KnowsItsFamilies) {
  for (const Family& family : AllFamilies()) {
    EXPECT_EQ(FindFamilyByHf(family.hf_architecture, ""), &family);
    EXPECT_EQ(FindFamilyByGguf(family.gguf_architecture), family.gguf_architecture.empty() ? nullptr : &family);
    EXPECT_NE(KnownFamilies().find(family.hf_architecture), std::string::npos);
  }
  EXPECT_EQ(RoleName(Role::kPositionEmbedding), "position_embedding");
  EXPECT_TRUE(IsLinear(Role::kHead) && !IsLinear(Role::kAttentionNorm));
  EXPECT_TRUE(IsNorm(Role::kFinalNorm) && !IsNorm(Role::kTokenEmbedding));
}

}  // namespace
}  // namespace qad

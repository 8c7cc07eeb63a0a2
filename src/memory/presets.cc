#include "memory/presets.h"

#include <algorithm>

namespace qad {
namespace {

// Fields of each model's published config.json on huggingface.co; the parameter counts that follow from them are
// tested.
constexpr Preset kPresets[] = {
    {"llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct", R"({
      "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
      "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
      "rope_theta": 500000.0, "rms_norm_eps": 1e-05, "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})"},
    {"mistral-7b", "mistralai/Mistral-7B-Instruct-v0.1", R"({
      "architectures": ["MistralForCausalLM"], "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
      "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768,
      "sliding_window": 4096, "rope_theta": 10000.0, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
      "torch_dtype": "bfloat16"})"},
    {"phi-3-mini", "microsoft/Phi-3-mini-4k-instruct", R"({
      "architectures": ["Phi3ForCausalLM"], "vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192,
      "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
      "sliding_window": 2047, "rope_theta": 10000.0, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
      "torch_dtype": "bfloat16"})"},
    {"qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", R"({
      "architectures": ["Qwen2ForCausalLM"], "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
      "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32768,
      "use_sliding_window": false, "sliding_window": 131072, "rope_theta": 1000000.0, "rms_norm_eps": 1e-06,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})"},
    {"smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", R"({
      "architectures": ["LlamaForCausalLM"], "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
      "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
      "rope_theta": 100000, "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "torch_dtype": "bfloat16"})"},
    {"tiny-gpt2", "sshleifer/tiny-gpt2", R"({
      "architectures": ["GPT2LMHeadModel"], "vocab_size": 50257, "n_embd": 2, "n_layer": 2, "n_head": 2,
      "n_positions": 1024, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new"})"},
};

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const Preset> AllPresets() { return kPresets; }

const Preset* FindPreset(std::string_view name) {
  for (const Preset& preset : kPresets)
    if (EqualIgnoringCase(preset.name, name)) return &preset;
  return nullptr;
}

ModelConfig PresetConfig(const Preset& preset) {
  const std::string where = "preset " + std::string(preset.name);
  return ParseModelConfig(ParseJson(preset.json, where), where);
}

std::string PresetNames() {
  std::string names;
  for (const Preset& preset : kPresets) names += (names.empty() ? "" : ", ") + std::string(preset.name);
  return names;
}

}  // namespace qad

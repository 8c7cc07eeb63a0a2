#include "model/families.h"

#include <array>

#include "base/error.h"

namespace qad {
namespace {

// Of these Qwen 3 alone has norms of queries and keys.
constexpr TensorNames kLlamaNames[] = {
    {Role::kTokenEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {Role::kK, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {Role::kV, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    {Role::kQNorm, "model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
    {Role::kKNorm, "model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
    {Role::kO, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    {Role::kUp, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    {Role::kDown, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    {Role::kFinalNorm, "model.norm", "output_norm"},
    {Role::kHead, "lm_head", "output"},
};

// Gemma 2 has no norms of queries and keys.
constexpr TensorNames kGemmaNames[] = {
    {Role::kTokenEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {Role::kK, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {Role::kV, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    {Role::kQNorm, "model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
    {Role::kKNorm, "model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
    {Role::kO, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {Role::kPostAttentionNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    {Role::kMlpNorm, "model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    {Role::kUp, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    {Role::kDown, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    {Role::kPostMlpNorm, "model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"},
    {Role::kFinalNorm, "model.norm", "output_norm"},
    {Role::kHead, "lm_head", "output"},
};

constexpr TensorNames kPhi3SmallNames[] = {
    {Role::kTokenEmbedding, "model.embed_tokens", ""},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", ""},
    {Role::kQkv, "model.layers.{}.self_attn.query_key_value", ""},
    {Role::kO, "model.layers.{}.self_attn.dense", ""},
    {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm", ""},
    {Role::kGateUp, "model.layers.{}.mlp.up_proj", ""},
    {Role::kDown, "model.layers.{}.mlp.down_proj", ""},
    {Role::kFinalNorm, "model.final_layernorm", ""},
};

constexpr TensorNames kPhi3Names[] = {
    {Role::kTokenEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {Role::kQkv, "model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"},
    {Role::kO, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
    {Role::kGateUp, "model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
    {Role::kDown, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    {Role::kFinalNorm, "model.norm", "output_norm"},
    {Role::kHead, "lm_head", "output"},
};

constexpr TensorNames kGpt2Names[] = {
    {Role::kTokenEmbedding, "transformer.wte", "token_embd"},
    {Role::kPositionEmbedding, "transformer.wpe", "position_embd"},
    {Role::kAttentionNorm, "transformer.h.{}.ln_1", "blk.{}.attn_norm"},
    {Role::kQkv, "transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv"},
    {Role::kO, "transformer.h.{}.attn.c_proj", "blk.{}.attn_output"},
    {Role::kMlpNorm, "transformer.h.{}.ln_2", "blk.{}.ffn_norm"},
    {Role::kUp, "transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up"},
    {Role::kDown, "transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down"},
    {Role::kFinalNorm, "transformer.ln_f", "output_norm"},
    {Role::kHead, "lm_head", "output"},
};

constexpr TensorNames kBertNames[] = {
    {Role::kTokenEmbedding, "embeddings.word_embeddings", "token_embd"},
    {Role::kPositionEmbedding, "embeddings.position_embeddings", "position_embd"},
    {Role::kTypeEmbedding, "embeddings.token_type_embeddings", "token_types"},
    {Role::kEmbeddingNorm, "embeddings.LayerNorm", "token_embd_norm"},
    {Role::kQ, "encoder.layer.{}.attention.self.query", "blk.{}.attn_q"},
    {Role::kK, "encoder.layer.{}.attention.self.key", "blk.{}.attn_k"},
    {Role::kV, "encoder.layer.{}.attention.self.value", "blk.{}.attn_v"},
    {Role::kO, "encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"},
    {Role::kAttentionNorm, "encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"},
    {Role::kUp, "encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"},
    {Role::kDown, "encoder.layer.{}.output.dense", "blk.{}.ffn_down"},
    {Role::kMlpNorm, "encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"},
};

constexpr Family kFamilies[] = {
    {.name = "llama",
     .hf_architecture = "LlamaForCausalLM",
     .hf_model_type = "llama",
     .gguf_architecture = "llama",
     .tensors = kLlamaNames,
     .traits = {.gguf_permutes_qk = true},
     .runs = true},
    {.name = "gpt2",
     .hf_architecture = "GPT2LMHeadModel",
     .hf_model_type = "gpt2",
     .gguf_architecture = "gpt2",
     .tensors = kGpt2Names,
     .traits = {.norm = Norm::kLayer,
                .activation = Activation::kGeluTanh,
                .learned_positions = true,
                .fused_qkv = true,
                .conv1d = true,
                .all_biases = true},
     .runs = true},
    {.name = "mistral",
     .hf_architecture = "MistralForCausalLM",
     .hf_model_type = "mistral",
     .gguf_architecture = "mistral",
     .tensors = kLlamaNames,
     .traits = {}},
    {.name = "qwen2",
     .hf_architecture = "Qwen2ForCausalLM",
     .hf_model_type = "qwen2",
     .gguf_architecture = "qwen2",
     .tensors = kLlamaNames,
     .traits = {.qkv_bias = true, .window_is_opt_in = true}},
    {.name = "qwen3",
     .hf_architecture = "Qwen3ForCausalLM",
     .hf_model_type = "qwen3",
     .gguf_architecture = "qwen3",
     .tensors = kLlamaNames,
     .traits = {.qk_norms = true, .window_is_opt_in = true}},
    {.name = "gemma2",
     .hf_architecture = "Gemma2ForCausalLM",
     .hf_model_type = "gemma2",
     .gguf_architecture = "gemma2",
     .tensors = kGemmaNames,
     .traits = {.post_norms = true, .hidden_act = "gelu_pytorch_tanh", .full_attention_every = 2}},
    {.name = "gemma3",
     .hf_architecture = "Gemma3ForCausalLM",
     .hf_model_type = "gemma3_text",
     .gguf_architecture = "gemma3",
     .tensors = kGemmaNames,
     .traits = {.qk_norms = true, .post_norms = true, .hidden_act = "gelu_pytorch_tanh", .full_attention_every = 6}},
    {.name = "phi3small",
     .hf_architecture = "Phi3SmallForCausalLM",
     .hf_model_type = "phi3small",
     .gguf_architecture = "",
     .tensors = kPhi3SmallNames,
     .traits =
         {.norm = Norm::kLayer, .fused_qkv = true, .fused_gate_up = true, .all_biases = true, .hidden_act = "gegelu"}},
    {.name = "phi3",
     .hf_architecture = "Phi3ForCausalLM",
     .hf_model_type = "phi3",
     .gguf_architecture = "phi3",
     .tensors = kPhi3Names,
     .traits = {.fused_qkv = true, .fused_gate_up = true}},
    {.name = "bert",
     .hf_architecture = "BertModel",
     .hf_model_type = "bert",
     .gguf_architecture = "bert",
     .tensors = kBertNames,
     .traits = {.norm = Norm::kLayer,
                .activation = Activation::kGelu,
                .learned_positions = true,
                .all_biases = true,
                .encoder = true}},
};

constexpr std::array<std::string_view, 21> kRoleNames = {
    "q_proj",         "k_proj",         "v_proj",       "qkv_proj",        "o_proj",
    "gate_proj",      "up_proj",        "gate_up_proj", "down_proj",       "lm_head",
    "attention_norm", "mlp_norm",       "q_norm",       "k_norm",          "post_attention_norm",
    "post_mlp_norm",  "embedding_norm", "final_norm",   "token_embedding", "position_embedding",
    "type_embedding"};

const TensorNames* FindNames(const Family& family, Role role) {
  for (const TensorNames& names : family.tensors)
    if (names.role == role) return &names;
  return nullptr;
}

std::string WithLayer(std::string_view pattern, int layer) {
  const size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, hole), layer, pattern.substr(hole + 2));
}

}  // namespace

std::string_view RoleName(Role role) { return kRoleNames[static_cast<size_t>(role)]; }
bool IsLinear(Role role) { return role <= Role::kHead; }
bool IsNorm(Role role) { return role >= Role::kAttentionNorm && role <= Role::kFinalNorm; }

std::span<const Family> AllFamilies() { return kFamilies; }

const Family* FindFamilyByHf(std::string_view architecture, std::string_view model_type) {
  for (const Family& family : kFamilies)
    if (family.hf_architecture == architecture || (architecture.empty() && family.hf_model_type == model_type))
      return &family;
  return nullptr;
}

const Family* FindFamilyByGguf(std::string_view architecture) {
  for (const Family& family : kFamilies)
    if (!architecture.empty() && family.gguf_architecture == architecture) return &family;
  return nullptr;
}

std::string KnownFamilies() {
  std::string text;
  for (const Family& family : kFamilies)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", family.hf_architecture,
                        family.runs             ? ""
                        : family.traits.encoder ? " (embeddings only)"
                                                : " (memory only)");
  return text;
}

std::string HfName(const Family& family, Role role, int layer) {
  const TensorNames* names = FindNames(family, role);
  return names == nullptr ? "" : WithLayer(names->hf, layer);
}

std::string GgufName(const Family& family, Role role, int layer) {
  const TensorNames* names = FindNames(family, role);
  return names == nullptr ? "" : WithLayer(names->gguf, layer);
}

}  // namespace qad

// Model families as data, interpreted by one generic transformer. Adding a family is adding a row in families.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ops/activation.h"
#include "ops/norm.h"

namespace qad {

// What a tensor does. Linears come before norms and embeddings come last, so that kinds can be told by order.
enum class Role : uint8_t {
  kQ,
  kK,
  kV,
  kQkv,
  kO,
  kGate,
  kUp,
  kGateUp,
  kDown,
  kHead,
  kAttentionNorm,
  kMlpNorm,
  kQNorm,  // of each query head, and of each key head
  kKNorm,
  kPostAttentionNorm,  // of what attention and MLP give, before it is added
  kPostMlpNorm,
  kEmbeddingNorm,
  kFinalNorm,
  kTokenEmbedding,
  kPositionEmbedding,
  kTypeEmbedding,
};
std::string_view RoleName(Role role);  // "q_proj", "down_proj", "token_embedding", …
bool IsLinear(Role role);              // the matrices that quantizers and LoRA see; the head is not among LoRA's
bool IsNorm(Role role);

// Names of one role's tensor, without ".weight"/".bias"; "{}" stands for the layer. Empty: the family has none.
struct TensorNames {
  Role role;
  std::string_view hf;
  std::string_view gguf;
};

struct Traits {
  Norm norm = Norm::kRms;
  Activation activation = Activation::kSwiGlu;
  bool learned_positions = false;  // instead of rotary ones
  bool fused_qkv = false;
  bool fused_gate_up = false;
  bool conv1d = false;      // Hugging Face stores (in, out)
  bool all_biases = false;  // every linear and norm has one
  bool qkv_bias = false;
  bool qk_norms = false;
  bool post_norms = false;
  std::string_view hidden_act = "silu";  // what config.json has to say, of gated families; run is silu alone
  // Of families whose windows slide: each so many-th layer attends to everything (Gemma). 0: none of them does.
  size_t full_attention_every = 0;
  bool window_is_opt_in = false;  // config.json's sliding_window counts only with use_sliding_window (Qwen)
  bool encoder = false;           // all positions see each other, norms stand behind sums; gives vectors, not text
  bool gguf_permutes_qk = false;  // the converter interleaves rotary halves; reading must undo it
};

struct Family {
  std::string_view name;
  std::string_view hf_architecture;  // config.json: architectures[0]
  std::string_view hf_model_type;
  std::string_view gguf_architecture;
  std::span<const TensorNames> tensors;
  Traits traits;
  bool runs = false;  // the engine generates with it; otherwise memory arithmetic, or embeddings, only
};

std::span<const Family> AllFamilies();
const Family* FindFamilyByHf(std::string_view architecture, std::string_view model_type);
const Family* FindFamilyByGguf(std::string_view architecture);
std::string KnownFamilies();  // for messages

// The name of a role's tensor for `layer`; empty where the family has none.
std::string HfName(const Family& family, Role role, int layer);
std::string GgufName(const Family& family, Role role, int layer);

}  // namespace qad

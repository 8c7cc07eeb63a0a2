#include "model/config.h"

#include <algorithm>

#include "base/error.h"

namespace qad {
namespace {

constexpr int64_t kMaxWidth = 1 << 20, kMaxVocab = 1 << 24, kMaxLayers = 4096, kMaxPositions = int64_t{1} << 31;

size_t Size(int64_t value) { return static_cast<size_t>(value); }

void CheckShapes(const ModelConfig& config, const std::string& where) {
  if (config.heads % config.kv_heads != 0)
    FailInput("{}: {} attention heads cannot share {} key/value heads evenly", where, config.heads, config.kv_heads);
  if (config.head_dim % 2 != 0 && !config.family->traits.learned_positions)
    FailInput("{}: head dimension {} is odd; rotary embedding turns pairs", where, config.head_dim);
}

size_t HeadDim(const std::string& where, int64_t stated, size_t hidden, size_t heads) {
  if (stated > 0) return Size(stated);
  if (hidden % heads != 0) FailInput("{}: hidden size {} is not divisible by {} heads", where, hidden, heads);
  return hidden / heads;
}

// Settings of GPT2Config (transformers) that change how attention's scores are scaled. `reorder_and_upcast_attn` is
// none of them: it changes the order and precision of the same arithmetic, which is f32 here in any case.
std::string UnsupportedGpt2Setting(const JsonObject& json) {
  if (!json.BoolOr("scale_attn_weights", true)) return "scale_attn_weights is false";
  if (json.BoolOr("scale_attn_by_inverse_layer_idx", false)) return "scale_attn_by_inverse_layer_idx is true";
  return "";
}

void ParseGpt2(const JsonObject& json, ModelConfig& config) {
  config.hidden = Size(json.Int("n_embd", 1, kMaxWidth));
  config.layers = Size(json.Int("n_layer", 1, kMaxLayers));
  config.heads = config.kv_heads = Size(json.Int("n_head", 1, kMaxWidth));
  config.max_positions = Size(json.Int("n_positions", 1, kMaxPositions));
  config.intermediate = Size(json.IntOr("n_inner", 1, kMaxWidth, static_cast<int64_t>(4 * config.hidden)));
  config.norm_eps = static_cast<float>(json.NumberOr("layer_norm_epsilon", 0, 1, 1e-5));
  config.tied_head = json.BoolOr("tie_word_embeddings", true);
  config.attention_bias = config.output_bias = config.mlp_bias = true;
  config.not_run = UnsupportedGpt2Setting(json);
  const std::string activation = json.StringOr("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    FailInput("{}: activation_function is \"{}\"; this version runs gelu_new", json.where(), activation);
}

std::string RopeScalingType(const JsonObject& json) {
  const char* key = json.Has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  if (!json.Has(key)) return "";
  const JsonObject scaling = json.Object(key);
  const std::string type = scaling.StringOr("rope_type", scaling.StringOr("type", "default"));
  return type == "default" ? "" : type;
}

void ParseBert(const JsonObject& json, ModelConfig& config) {
  config.hidden = Size(json.Int("hidden_size", 1, kMaxWidth));
  config.layers = Size(json.Int("num_hidden_layers", 1, kMaxLayers));
  config.heads = config.kv_heads = Size(json.Int("num_attention_heads", 1, kMaxWidth));
  config.intermediate = Size(json.Int("intermediate_size", 1, kMaxWidth));
  config.max_positions = Size(json.Int("max_position_embeddings", 1, kMaxPositions));
  config.token_types = Size(json.IntOr("type_vocab_size", 1, kMaxVocab, 2));
  config.norm_eps = static_cast<float>(json.NumberOr("layer_norm_eps", 0, 1, 1e-12));
  config.tied_head = true;  // none at all
  config.attention_bias = config.output_bias = config.mlp_bias = true;
  if (const std::string activation = json.StringOr("hidden_act", "gelu"); activation != "gelu")
    FailInput("{}: hidden_act is \"{}\"; encoders are run with gelu", json.where(), activation);
  if (const std::string positions = json.StringOr("position_embedding_type", "absolute"); positions != "absolute")
    FailInput("{}: position_embedding_type is \"{}\"; encoders are run with absolute ones", json.where(), positions);
}

// The share of each head that turns, of which only the whole is run. Newer files keep it among the rope_parameters.
std::string UnsupportedRotaryShare(const JsonObject& json) {
  double share = json.NumberOr("partial_rotary_factor", 0, 1, 1);
  if (json.Has("rope_parameters"))
    share = json.Object("rope_parameters").NumberOr("partial_rotary_factor", 0, 1, share);
  return share == 1 ? "" : fmt::format("partial_rotary_factor is {}", share);
}

void CheckActivation(const JsonObject& json, const Traits& traits, const char* key) {
  const std::string expected(traits.hidden_act), activation = json.StringOr(key, expected);
  if (activation != expected)
    FailInput("{}: {} is \"{}\"; this family is defined with {}", json.where(), key, activation, expected);
}

// The window, and how many layers have none: said layer by layer in newer files, by a pattern or the number of the
// first such layer in older ones.
void ParseWindow(const JsonObject& json, ModelConfig& config) {
  config.sliding_window = Size(json.IntOr("sliding_window", 0, kMaxPositions, 0));
  if (config.sliding_window == 0) return;
  const auto layers = static_cast<int64_t>(config.layers);
  if (json.Has("layer_types")) {
    const Json& types = json.At("layer_types");
    if (!types.is_array() || types.size() != config.layers)
      FailInput("{}: \"layer_types\" must list {} layers", json.where(), config.layers);
    config.full_layers = static_cast<size_t>(std::ranges::count(types, Json("full_attention")));
  } else if (config.family->traits.window_is_opt_in) {
    config.full_layers = Size(json.IntOr("max_window_layers", 0, kMaxLayers, 0));
    config.full_layers = std::min(config.full_layers, config.layers);
  } else {
    const int64_t every = json.IntOr("sliding_window_pattern", 0, kMaxLayers,
                                     static_cast<int64_t>(config.family->traits.full_attention_every));
    config.full_layers = every > 0 ? Size(layers / every) : 0;
  }
}

void ParseLlamaLike(const JsonObject& json, ModelConfig& config) {
  const Traits& traits = config.family->traits;
  config.hidden = Size(json.Int("hidden_size", 1, kMaxWidth));
  config.layers = Size(json.Int("num_hidden_layers", 1, kMaxLayers));
  config.heads = Size(json.Int("num_attention_heads", 1, kMaxWidth));
  config.kv_heads = Size(json.IntOr("num_key_value_heads", 1, kMaxWidth, static_cast<int64_t>(config.heads)));
  config.intermediate = Size(json.Int("intermediate_size", 1, kMaxWidth));
  config.max_positions = Size(json.IntOr("max_position_embeddings", 1, kMaxPositions, 2048));
  config.norm_eps = static_cast<float>(json.NumberOr("rms_norm_eps", 0, 1, 1e-6));
  config.tied_head = json.BoolOr("tie_word_embeddings", false);
  config.attention_bias = json.BoolOr("attention_bias", traits.qkv_bias);
  config.output_bias = !traits.qkv_bias && config.attention_bias;
  config.mlp_bias = json.BoolOr("mlp_bias", false);
  config.rope_scaling = RopeScalingType(json);
  config.not_run = UnsupportedRotaryShare(json);
  double theta = 10000.0;
  if (json.Has("rope_parameters")) theta = json.Object("rope_parameters").NumberOr("rope_theta", 1, 1e12, theta);
  config.rope_theta = static_cast<float>(json.NumberOr("rope_theta", 1, 1e12, theta));
  if (json.BoolOr("use_sliding_window", !traits.window_is_opt_in)) ParseWindow(json, config);
  CheckActivation(json, traits, json.Has("hidden_activation") ? "hidden_activation" : "hidden_act");
}

// Phi3SmallConfig (microsoft/Phi-3-small-8k-instruct, configuration_phi3_small.py). Every second layer attends by
// blocks; keys and values are kept of all positions.
void ParsePhi3Small(const JsonObject& json, ModelConfig& config) {
  config.hidden = Size(json.Int("hidden_size", 1, kMaxWidth));
  config.layers = Size(json.Int("num_hidden_layers", 1, kMaxLayers));
  config.heads = Size(json.Int("num_attention_heads", 1, kMaxWidth));
  config.kv_heads = Size(json.Int("num_key_value_heads", 1, kMaxWidth));
  config.intermediate = Size(json.Int("ff_intermediate_size", 1, kMaxWidth));
  config.max_positions = Size(json.Int("max_position_embeddings", 1, kMaxPositions));
  config.norm_eps = static_cast<float>(json.NumberOr("layer_norm_epsilon", 0, 1, 1e-5));
  config.rope_theta = static_cast<float>(json.NumberOr("rope_embedding_base", 1, 1e12, 1e6));
  config.tied_head = json.BoolOr("tie_word_embeddings", true);
  config.attention_bias = config.output_bias = config.mlp_bias = true;
  CheckActivation(json, config.family->traits, "hidden_act");
}

// An architecture whose MLPs are many of which a token takes a few: neither run nor computed.
void RefuseExperts(const JsonObject& json) {
  for (const char* key : {"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"})
    if (const int64_t experts = json.IntOr(key, 0, kMaxWidth, 0); experts > 1)
      FailInput("{}: is a mixture of {} experts (\"{}\"); this version knows dense models only", json.where(), experts,
                key);
}

// What Gemma3TextConfig (transformers) takes where a file is silent: the published ones of 4B to 27B leave most of it
// out. Sizes of layers are always there.
constexpr const char* kGemma3Defaults = R"({
  "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
  "max_position_embeddings": 131072, "sliding_window": 4096, "hidden_activation": "gelu_pytorch_tanh",
  "tie_word_embeddings": true, "torch_dtype": "bfloat16"})";

Json TextPart(const Json& root, const std::string& where) {
  if (!root.is_object() || !root.contains("text_config") || !root["text_config"].is_object()) return root;
  Json text = root["text_config"];
  if (text.contains("model_type") && text["model_type"] == "gemma3_text") {
    Json whole = ParseJson(kGemma3Defaults, where);
    whole.update(text);
    return whole;
  }
  return text;
}

}  // namespace

ModelConfig ParseModelConfig(const Json& root, const std::string& where) {
  const Json text = TextPart(root, where);
  const JsonObject json(text, where);
  RefuseExperts(json);
  std::string architecture;
  if (json.Has("architectures")) {
    const Json& list = json.At("architectures");
    if (!list.is_array() || list.empty() || !list[0].is_string())
      FailInput("{}: \"architectures\" must be a list with a name in it", where);
    architecture = list[0].get<std::string>();
  }
  const std::string type = json.StringOr("model_type", "");
  ModelConfig config;
  config.family = FindFamilyByHf(architecture, type);
  if (config.family == nullptr)
    FailInput("{}: architecture \"{}\" is not known; known: {}", where, architecture.empty() ? type : architecture,
              KnownFamilies());
  config.vocab = Size(json.Int("vocab_size", 1, kMaxVocab));
  config.stored_dtype = json.StringOr("torch_dtype", json.StringOr("dtype", ""));
  if (config.family->name == "gpt2")
    ParseGpt2(json, config);
  else if (config.family->traits.encoder)
    ParseBert(json, config);
  else if (config.family->name == "phi3small")
    ParsePhi3Small(json, config);
  else
    ParseLlamaLike(json, config);
  config.head_dim = HeadDim(where, json.IntOr("head_dim", 1, kMaxWidth, 0), config.hidden, config.heads);
  CheckShapes(config, where);
  return config;
}

ModelConfig ParseModelConfig(const GgufFile& file) {
  const std::string where = file.path().string();
  const std::string architecture = file.String("general.architecture");
  if (const int64_t experts = file.IntOr(architecture + ".expert_count", 0, kMaxWidth, 0); experts > 1)
    FailInput("{}: is a mixture of {} experts; this version knows dense models only", where, experts);
  ModelConfig config;
  config.family = FindFamilyByGguf(architecture);
  if (config.family == nullptr)
    FailInput("{}: general.architecture \"{}\" is not known; known: {}", where, architecture, KnownFamilies());
  if (config.family->traits.encoder)
    FailInput("{}: is an encoder; encoders are read from folders in the form of sentence-transformers", where);
  const auto key = [&](const char* name) { return architecture + "." + name; };
  config.hidden = Size(file.Int(key("embedding_length"), 1, kMaxWidth));
  config.layers = Size(file.Int(key("block_count"), 1, kMaxLayers));
  config.heads = Size(file.Int(key("attention.head_count"), 1, kMaxWidth));
  config.kv_heads = Size(file.IntOr(key("attention.head_count_kv"), 1, kMaxWidth, static_cast<int64_t>(config.heads)));
  config.intermediate = Size(file.Int(key("feed_forward_length"), 1, kMaxWidth));
  config.max_positions = Size(file.Int(key("context_length"), 1, kMaxPositions));
  const bool layer_norm = config.family->traits.norm == Norm::kLayer;
  config.norm_eps = static_cast<float>(
      file.NumberOr(key(layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"), 1e-5));
  config.rope_theta = static_cast<float>(file.NumberOr(key("rope.freq_base"), 10000.0));
  config.sliding_window = Size(file.IntOr(key("attention.sliding_window"), 0, kMaxPositions, 0));
  if (const size_t every = config.family->traits.full_attention_every; config.sliding_window > 0 && every > 0)
    config.full_layers = config.layers / every;
  config.head_dim =
      HeadDim(where, file.IntOr(key("attention.key_length"), 1, kMaxWidth, 0), config.hidden, config.heads);
  const std::string scaling = file.StringOr(key("rope.scaling.type"), "none");
  config.rope_scaling = scaling == "none" ? "" : scaling;
  // llama.cpp's converter writes the factors of "llama3" scaling as a tensor and names no type.
  if (file.Find("rope_freqs.weight") != nullptr) config.rope_scaling = "llama3";
  const auto head_dim = static_cast<int64_t>(config.head_dim);
  if (const int64_t turned = file.IntOr(key("rope.dimension_count"), 0, kMaxWidth, head_dim); turned != head_dim)
    config.not_run =
        fmt::format("{} is {} where heads have {} dimensions", key("rope.dimension_count"), turned, head_dim);
  if (file.Has("tokenizer.ggml.tokens")) {
    config.vocab = file.Strings("tokenizer.ggml.tokens").size();
  } else {
    config.vocab = Size(file.Int(key("vocab_size"), 1, kMaxVocab));
  }
  config.tied_head = file.Find("output.weight") == nullptr;
  const bool all = config.family->traits.all_biases;
  config.attention_bias = all || file.Find("blk.0.attn_q.bias") != nullptr;
  config.output_bias = all || file.Find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = all || file.Find("blk.0.ffn_up.bias") != nullptr;
  CheckShapes(config, where);
  return config;
}

void RequireRunnable(const ModelConfig& config, const std::string& where) {
  if (config.family->traits.encoder)
    FailInput("{}: is an encoder, which makes vectors of texts and no text; it is an embedder for retrieval", where);
  if (!config.family->runs)
    FailInput("{}: family {} is known for memory arithmetic only; this version runs llama and gpt2", where,
              config.family->name);
  if (!config.rope_scaling.empty())
    FailInput("{}: rotary scaling \"{}\" is not run by this version; `qad memory` still works", where,
              config.rope_scaling);
  if (!config.not_run.empty())
    FailInput("{}: {}, which this version does not run; `qad memory` still works", where, config.not_run);
  if (config.sliding_window > 0 && config.sliding_window < config.max_positions)
    FailInput("{}: sliding-window attention is not run by this version; `qad memory` still works", where);
}

}  // namespace qad

// What a model is, read from config.json or a GGUF header: sizes and the traits of its family.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "io/gguf.h"
#include "model/families.h"

namespace qad {

struct ModelConfig {
  const Family* family = nullptr;
  size_t vocab = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0;
  size_t max_positions = 0;
  size_t token_types = 0;     // of encoders
  size_t sliding_window = 0;  // 0: none
  size_t full_layers = 0;     // of a model with a window, those that attend to everything all the same
  float norm_eps = 1e-5f;
  float rope_theta = 10000.0f;
  bool tied_head = false;
  bool attention_bias = false;  // on q, k, v
  bool output_bias = false;     // on o
  bool mlp_bias = false;
  std::string rope_scaling;  // its type where there is one; not run in this version
  std::string not_run;       // another setting that changes the logits and is not run: "scale_attn_weights is false"
  std::string stored_dtype;  // torch_dtype of config.json, e.g. "bfloat16"; empty where not said

  size_t qkv_outputs() const { return (heads + 2 * kv_heads) * head_dim; }
};

// Of a model of texts and images the part for texts. Errors (kInput): unknown architecture (with those known), mixtures
// of experts, missing or absurd fields, hidden sizes that do not divide.
ModelConfig ParseModelConfig(const Json& config, const std::string& where);
ModelConfig ParseModelConfig(const GgufFile& file);

// Errors (kInput) where this version can compute the model's memory but not run it, and why.
void RequireRunnable(const ModelConfig& config, const std::string& where);

}  // namespace qad

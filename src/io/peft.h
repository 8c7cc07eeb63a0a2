// A PEFT adapter folder: adapter_config.json and adapter_model.safetensors. Checked against PEFT 0.21.2
// (scripts/interop).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace qad {

// The fields of LoraConfig that this version can honour. Those it cannot (DoRA, trained biases, modules_to_save,
// …) are errors on reading where they are set.
struct PeftConfig {
  std::string base_model;
  std::string base_sha256;  // of the base it was trained on; empty in adapters of other tools
  int r = 8;
  double lora_alpha = 16;
  double lora_dropout = 0;
  std::vector<std::string> target_modules;
  bool use_rslora = false;
  bool fan_in_fan_out = false;  // Conv1D bases (GPT-2)
  // Regular expressions over ends of module names, and what such modules have in place of r and lora_alpha.
  std::map<std::string, double> rank_pattern = {}, alpha_pattern = {};

  float Scale() const { return Scale(r, lora_alpha); }
  float Scale(double rank, double alpha) const;  // alpha/r, or alpha/√r with rsLoRA
};

struct PeftModule {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  size_t in = 0, out = 0, r = 0;
  std::vector<float> a, b;  // (r, in), (out, r)
};

struct PeftAdapter {
  PeftConfig config;
  std::vector<PeftModule> modules;  // by module name
};

// Errors (kInput): missing files, a peft_type that is not LORA, settings this version does not run, A without B or of
// another rank, ranks that differ from the configuration's where it has no patterns, values that are NaN or infinite.
PeftAdapter ReadPeftAdapter(const std::filesystem::path& folder);
PeftConfig ReadPeftConfig(const std::filesystem::path& folder);  // without base_sha256, which lies by the weights

// The folder is written beside its place and swapped in whole: what stood there is lost only when the new one is safe.
void WritePeftAdapter(const std::filesystem::path& folder, const PeftAdapter& adapter);

}  // namespace qad

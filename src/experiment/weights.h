// The words for an arm's weights, and how weights that are made are made: "base", "int8", "gptq-4", "gguf:Q4_K_M",
// "auto:90MB", and with an adapter in them "lora merged", "lora merged int8" …
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/config.h"
#include "model/gguf_types.h"
#include "quantize/group_model.h"

namespace qad {

struct WeightsRecipe {
  enum class Kind : uint8_t {
    kBase,    // the model in bf16
    kStored,  // as its file has them
    kInt8,    // round to nearest, a scale for each output or for a whole matrix
    kNf4,     // bitsandbytes' 4 bits
    kGroups,  // a folder of codes in groups
    kGguf,    // a GGUF file of one of llama.cpp's types
    kAuto,    // a GGUF file whose types are searched for
    kMerged,  // a folder in bf16
  };
  Kind kind = Kind::kBase;
  std::string weights = "bf16";  // ArmConfig::weights: "bf16", "as-stored", or the word
  std::string merged = {};       // the adapter in what they are made of; empty: they are made of the model itself
  bool per_tensor = false;
  GroupMethod method = GroupMethod::kRtn;
  int bits = 8;
  const GgufFileType* type = nullptr;
  uint64_t budget = 0;                         // of kAuto: bytes of the file at most, or else
  double max_kl = 0;                           // KL divergence at most, or else
  bool floor = false;                          // decide.required on data.dev
  Prompting prompting = Prompting::kZeroShot;  // that floors are judged with: of the first arm with these weights

  bool made() const { return kind != Kind::kBase && kind != Kind::kStored; }
  bool calibrated() const;                         // looks at texts
  std::string HowMade(bool error_feedback) const;  // in words; GGUF files are solved with feedback, or rounded
  // Where it lands within the output folder: a folder, or a file.
  std::filesystem::path Output() const;
  // The files that it consists of.
  std::vector<std::filesystem::path> Files() const;
};

// What came of a word: a recipe, or what is wrong with it.
struct ParsedWeights {
  WeightsRecipe recipe;
  bool known = false;  // the word is one for weights, though perhaps with something wrong in it
  std::string error;   // empty where it is good
};

// By the word in a configuration, or by ArmConfig::weights.
ParsedWeights ParseWeights(std::string_view word);
// Of ArmConfig::weights, which was parsed before.
WeightsRecipe RecipeOf(std::string_view weights);
// "lora merged": the adapter in bf16 weights, before they are quantized.
std::string MergedWord(std::string_view adapter);

// All weights that a configuration needs made, each once, behind those that it is made of: of arms, and those that
// adapters are trained on.
std::vector<WeightsRecipe> MadeWeights(const Config& config);

// "base, int8, …": what a configuration may say.
const std::vector<std::string>& KnownWeights();

}  // namespace qad

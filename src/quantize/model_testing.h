// What the tests of whole quantized models share: small models, calibration and the distance of logits.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/test_files.h"
#include "base/testing.h"
#include "io/model_files.h"
#include "model/tiny_model.h"
#include "model/transformer.h"
#include "model/weights.h"
#include "quantize/calibration.h"

namespace qad {

namespace fs = std::filesystem;

// Of kLlama without groups that divide: two heads of values for four of queries, all packings fit.
inline constexpr const char* kWide =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 70,
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
inline constexpr const char* kWideGpt2 =
    R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 50,
  "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 128, "layer_norm_epsilon": 1e-05})";

// Another value in front of a tensor of a safetensors file: what a file says that is read.
inline void ChangeFirst(const fs::path& path, const std::string& name, std::byte value) {
  std::vector<TensorToWrite> tensors;
  std::vector<std::byte> changed;
  const SafetensorsFile file(path);
  for (const auto& [key, entry] : file.tensors()) {
    tensors.push_back({key, entry.dtype, entry.shape, entry.bytes});
    if (key != name) continue;
    changed.assign(entry.bytes.begin(), entry.bytes.end());
    changed.front() = value;
    tensors.back().bytes = changed;
  }
  ASSERT_FALSE(changed.empty()) << name;
  WriteSafetensors(path, tensors, file.metadata());
}

class QuantizedModel : public ::testing::Test {
 protected:
  void SetUp() override {
    Random random(11);
    for (int s = 0; s < 12; ++s) {
      std::vector<TokenId>& sample = calibration_.samples.emplace_back();
      for (int t = 0; t < 20 + s; ++t) sample.push_back(static_cast<TokenId>(random.Below(50)));
    }
    calibration_.sha256 = "of the samples";
  }

  // Logits of all positions of the samples, in exact mode.
  std::vector<float> Logits(const fs::path& path, WeightMode mode = WeightMode::kAsStored) const {
    const ModelFiles files = OpenModel(path);
    auto weights = std::make_shared<const Weights>(PlanOf(files, mode), files);
    Transformer transformer(weights);
    Context context(Numerics::kExact, 2);
    std::vector<float> all;
    for (const auto& sample : calibration_.samples) {
      KvCache cache(transformer.config(), 1, sample.size(), FormatId::kF32);
      std::vector<size_t> wanted(sample.size());
      for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
      std::vector<float> logits(sample.size() * transformer.config().vocab);
      const Segment segment{.slot = 0, .start = 0, .tokens = sample};
      transformer.Forward(context, {&segment, 1}, cache, wanted, logits.data());
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  double Distance(const fs::path& path) const {
    return NormalizedMeanSquaredError(Logits(path), Logits(folder_ / "model"));
  }

  TempFolder folder_;
  Calibration calibration_;
};

}  // namespace qad

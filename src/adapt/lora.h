// Low-rank adapters: their matrices and gradients, and how they attach to a transformer.
// Hu et al. 2021, "LoRA", eq. 3: W x + (alpha/r) B A x; A starts Kaiming-uniform(√5), B at zero, as PEFT does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "adapt/options.h"
#include "io/peft.h"
#include "model/transformer.h"

namespace qad {

// The model that an adapter is trained on.
struct AdapterBase {
  std::string name = {};    // what adapter_config.json calls it
  std::string sha256 = {};  // of its weights; empty where unknown
  std::string format = {};  // how training holds them: "bf16"
  // SHA-256 of the weights in that format where they were made of those; empty: they are those.
  std::string made_sha256 = {};
};

class LoraAdapter {
 public:
  struct Module {
    AdapterSite site;
    size_t rank = 0;
    float scale = 0;      // alpha/r, or alpha/√r with rsLoRA
    size_t a = 0, b = 0;  // where A (r, in) and B (out, r) begin in values() and gradients()
  };

  // Fresh matrices on every site that `options` name; a site's A depends on the seed and its place in the model only.
  // Errors (kUsage): as SelectSites and PatternValues.
  LoraAdapter(const Transformer& model, const LoraOptions& options, uint64_t seed);
  // From a PEFT folder, or a GGUF file of llama.cpp's. Errors (kInput): as ReadPeftAdapter, ReadGgufAdapter; modules
  // that the model lacks or whose shapes do not fit (an adapter of another base), or whose ranks are not those of the
  // configuration's patterns; (kUsage) as PatternValues.
  LoraAdapter(const Transformer& model, const std::filesystem::path& folder);

  // All matrices in one array, module after module, A before B; their gradients likewise, empty until EnableGradients.
  std::span<float> values() { return values_; }
  std::span<const float> values() const { return values_; }
  std::span<float> gradients() { return gradients_; }
  const std::vector<Module>& modules() const { return modules_; }
  const PeftConfig& config() const { return config_; }
  size_t parameters() const { return values_.size(); }
  size_t bytes() const { return parameters() * sizeof(float); }
  // With the copies in bf16 that answers are multiplied by, as it lies in memory while it serves.
  size_t served_bytes() const { return bytes() + rounded_.size() * sizeof(uint16_t); }

  void EnableGradients() { gradients_.assign(values_.size(), 0.0f); }
  void DropGradients() { gradients_ = {}; }

  // Replaces what is attached. The model holds pointers into this object: attach again after moving it or after
  // enabling or dropping gradients. Without gradients the model's answers are those of the values as they are now.
  void AttachTo(Transformer& model);
  // Beside what is attached, its updates times `weight`.
  void AddTo(Transformer& model, float weight);

  // As a PEFT folder that PEFT loads onto the same base; `base` is what the base model was called. Atomic.
  void Save(const std::filesystem::path& folder, const AdapterBase& base) const;

 private:
  // Sites with the ranks and scales that the configuration gives them.
  void Lay(const Transformer& model, std::vector<AdapterSite> sites);
  PeftConfig config_;
  std::vector<Module> modules_;
  std::vector<float> values_, gradients_;
  std::vector<uint16_t> rounded_;  // values, where there are no gradients; B as (r, out)
};

// Sites named by `targets` within `layers` (empty: all), in the model's order; the head is none. Errors: as
// SelectTargets.
std::vector<AdapterSite> SelectSites(const Transformer& model, const std::vector<std::string>& targets,
                                     const std::vector<int>& layers = {});

// The shortest module-name endings that, as PEFT matches them, select exactly `chosen` out of all sites. Sorted.
std::vector<std::string> TargetModules(const std::vector<AdapterSite>& all, const std::vector<AdapterSite>& chosen);

}  // namespace qad

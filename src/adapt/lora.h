// Low-rank adapters: their matrices, gradients and optimizer moments, and how they attach to a transformer.
// Hu et al. 2021, "LoRA", eq. 3: W x + (alpha/r) B A x; A starts Kaiming-uniform(√5), B at zero, as PEFT does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adapt/options.h"
#include "io/peft.h"
#include "model/transformer.h"

namespace qad {

class LoraAdapter {
 public:
  struct Module {
    AdapterSite site;
    std::vector<float> a, b;                       // (r, in), (out, r)
    std::vector<float> a_gradient, b_gradient;     // empty until EnableGradients
    float scale = 1;
  };

  // Fresh matrices on every site that `options.target_modules` names. Errors (kUsage): a name that matches nothing,
  // with near matches.
  LoraAdapter(const Transformer& model, const LoraOptions& options, uint64_t seed);
  // From a PEFT folder. Errors (kInput): modules the model lacks, shapes that do not fit (an adapter of another base).
  LoraAdapter(const Transformer& model, const std::filesystem::path& folder);

  void EnableGradients();
  void ZeroGradients();
  void AttachTo(Transformer& model);  // replaces what is attached; the adapter must outlive its use there

  size_t parameters() const;
  size_t bytes() const { return parameters() * sizeof(float); }
  std::vector<Module>& modules() { return modules_; }
  const std::vector<Module>& modules() const { return modules_; }
  const PeftConfig& config() const { return config_; }

  // As a PEFT folder; `base` is what the base model was called. Atomic.
  void Save(const std::filesystem::path& folder, const std::string& base) const;

 private:
  PeftConfig config_;
  std::vector<Module> modules_;
};

// Sites named by target_modules: "all-linear", a role name ("q_proj"), or the end of a module's name ("c_attn",
// "mlp.c_proj"). Errors (kUsage) as above.
std::vector<AdapterSite> SelectSites(const Transformer& model, const std::vector<std::string>& targets);

}  // namespace qad

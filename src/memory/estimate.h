// KV cache, buffers, adapters and training by formula, and what fits into a budget. Pure functions of the configuration
// and the plan; tests prove them equal to what the engine allocates.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "memory/weights_math.h"
#include "model/footprint.h"
#include "model/plan.h"
#include "results/memory_math.h"

namespace qad {

// Keys and values of `batch` sequences of `context` tokens. A sliding window keeps that many tokens only. `gqa` false:
// as if every query head had its own key and value. Formats: the dense ones, and block formats that divide the head's
// dimension. Sums beyond 64 bits are UINT64_MAX.
uint64_t KvBytes(const ModelConfig& config, uint64_t context, uint64_t batch, FormatId type, bool gqa = true);

// The linear tensors that target_modules name. Errors (kUsage): as SelectTargets.
std::vector<const TensorSpec*> AdapterTargets(const Plan& plan, const std::vector<std::string>& targets);

enum class TrainingMethod : uint8_t { kLora, kQlora, kFull };

struct TrainingQuery {
  TrainingMethod method = TrainingMethod::kLora;
  int r = 8;
  std::vector<std::string> targets = {"all-linear"};
  uint64_t tokens = 512;                            // packed tokens of one forward pass; as adapt/ chooses
  std::vector<int> layers = {};                     // only within these; empty: all
  std::map<std::string, double> rank_pattern = {};  // r of modules that match (model/targets.h)
  TapeSettings tape = {};                           // of full training never in bf16
};

struct AdapterSize {
  uint64_t parameters = 0;  // Σ r·(in + out)
  uint64_t modules = 0;
  uint64_t ranks = 0;        // of all modules together
  uint64_t layer_ranks = 0;  // of one layer's: of each linear operation the most that any layer has
  uint64_t bytes() const { return parameters * sizeof(float); }
  uint64_t served_bytes() const { return bytes() + parameters * sizeof(uint16_t); }  // LoraAdapter::served_bytes
};
AdapterSize AdapterOf(const Plan& plan, const TrainingQuery& query);

// The peak of training on `base`, whose resident weights are frozen (LoRA, QLoRA) or, in f32, trained (full).
TrainingMath TrainingMemory(const Plan& base, const std::string& base_format, const TrainingQuery& query);

// The longest context at which `weights` bytes, cache and one step's buffers fit into `budget`.
FitAnswer Fit(const Plan& plan, const std::string& format, FormatId kv_type, uint64_t batch, uint64_t budget,
              uint64_t weights);
// The same of the weights as this program holds them.
inline FitAnswer Fit(const Plan& plan, const std::string& format, FormatId kv_type, uint64_t batch, uint64_t budget) {
  return Fit(plan, format, kv_type, batch, budget, plan.weight_bytes());
}

}  // namespace qad

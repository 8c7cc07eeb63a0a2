// Training by formula: adapters, gradients, optimizer, tape and logits, as this program holds them, by method, length,
// rank and what is computed again. Pure functions of the plan; tests prove them equal to what training allocates.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memory/weights_math.h"
#include "model/footprint.h"
#include "model/plan.h"
#include "results/memory_math.h"

namespace qad {

// The linear tensors that target_modules name. Errors (kUsage): as SelectTargets.
std::vector<const TensorSpec*> AdapterTargets(const Plan& plan, const std::vector<std::string>& targets);

enum class TrainingMethod : uint8_t { kLora, kQlora, kFull };

// PyTorch's way, as torchtune trains (memory/torch_training.h).
struct TorchSettings {
  bool checkpointing = true;  // of activations: a block's input is kept, the block computed again
  bool offloading = false;    // … and the inputs wait in the host's memory
  uint64_t loss_chunks = 8;   // of all tokens, whose logits are made f32 one after another
};

struct TrainingQuery {
  TrainingMethod method = TrainingMethod::kLora;
  int r = 8;
  std::vector<std::string> targets = {"all-linear"};
  uint64_t tokens = 512;                            // packed tokens of one forward pass; as adapt/ chooses
  std::vector<int> layers = {};                     // only within these; empty: all
  std::map<std::string, double> rank_pattern = {};  // r of modules that match (model/targets.h)
  TapeSettings tape = {};                           // of full training never in bf16
  std::optional<TorchSettings> torch = {};          // of that trainer; none: of this program, with `tape`

  bool recomputes() const { return torch ? torch->checkpointing : tape.recompute; }
  void set_recomputes(bool recompute) { (torch ? torch->checkpointing : tape.recompute) = recompute; }
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

// What a trained base is held in: bf16 for LoRA, the quantized plan for QLoRA (int4 where nothing is quantized yet),
// f32 for full training.
struct TrainingBase {
  Plan plan;
  std::string format;
};
TrainingBase TrainingBaseOf(const Plan& plan, const std::string& format, TrainingMethod method);

std::string_view NameOf(TrainingMethod method);  // "LoRA", "QLoRA", "full"

// Ways to train that are set against each other.
struct TrainingGrid {
  std::vector<TrainingQuery> methods;  // of which tokens, r and tape.recompute are varied
  std::vector<uint64_t> sequences, batches;
  std::vector<int> ranks;
};
// By the trainer that the query names, on the base that its method takes.
TrainingMath TrainingOf(const Plan& plan, const std::string& format, const TrainingQuery& query);

// Every combination, with and without recomputation: a pass of sequence × batch packed tokens.
std::vector<TrainingPoint> TrainingPoints(const Plan& plan, const std::string& format, const TrainingGrid& grid);

// The most tokens of one pass (of several sequences), up to kMostPassTokens, that fit into `budget` beside `held`
// bytes; 0: none do. `query` but for its tokens.
TrainingFit FitTraining(const Plan& plan, const std::string& format, const TrainingQuery& query, uint64_t budget,
                        uint64_t held);

}  // namespace qad

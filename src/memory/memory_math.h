// Everything the pack says about one model's memory, from its plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/machines.h"
#include "results/memory_math.h"

namespace qad {

struct MemoryQuery {
  std::string title;
  uint64_t budget = 0;             // bytes to fit into
  std::string hardware;            // the assumption in words; made from the budget where empty
  std::vector<uint64_t> contexts;  // empty: powers of two up to the model's positions
  std::vector<uint64_t> batches = {1};
  std::vector<FormatId> kv_types = {FormatId::kF16};  // the first is what runs use
  std::vector<TrainingQuery> training;
  std::vector<Machine> machines;  // asked for the first batch and cache, and…
  uint64_t machines_context = 0;  // … this context; 0: kUsualContext
};

// `plan` describes the weights as they are (or would be) stored and held; `stored` whether a file stands behind it.
// `format` names them: "q4_1", "fp16".
MemoryMath MakeMemoryMath(const Plan& plan, const std::string& format, bool stored, const MemoryQuery& query);

// What a trained base is held in: bf16 for LoRA, the quantized plan for QLoRA (int4 where nothing is quantized yet),
// f32 for full training.
struct TrainingBase {
  Plan plan;
  std::string format;
};
TrainingBase TrainingBaseOf(const Plan& plan, const std::string& format, TrainingMethod method);

}  // namespace qad

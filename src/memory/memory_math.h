// Everything the pack says about one model's memory, from its plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memory/machines.h"
#include "memory/training_math.h"
#include "results/memory_math.h"

namespace qad {

struct MemoryQuery {
  std::string title;
  uint64_t budget = 0;             // bytes to fit into
  std::string hardware;            // the assumption in words; made from the budget where empty
  std::vector<uint64_t> contexts;  // empty: powers of two up to the model's positions
  std::vector<uint64_t> batches = {1};
  std::vector<FormatId> kv_types = {FormatId::kF16};  // the first is what runs use
  std::vector<MemoryPart> engine;                     // MemoryMath::engine: taken from the budget before the model is
  std::vector<TrainingQuery> training;
  TrainingGrid grid;  // what else is asked of their methods; where it has no sequences, none
  std::vector<Machine> machines;
  uint64_t case_context = 0;  // of machines and sequences, with the first batch and cache; 0: kUsualContext
  // Contiguous or paged: of that context so many sequences, with so many tokens by now (0: half), of which so
  // many are the same in all (none given: an eighth of the context).
  uint64_t allotted_batch = 8, allotted_tokens = 0;
  std::optional<uint64_t> shared_prefix = {};

  uint64_t engine_bytes() const { return SumOf(engine); }
};

// The context of query's case: as given, or the usual one.
uint64_t CaseContext(const ModelConfig& config, const MemoryQuery& query);

// Errors (kUsage): as KvAllotments.
// `plan` describes the weights as they are (or would be) stored and held; `stored` whether a file stands behind it.
// `format` names them: "q4_1", "fp16".
MemoryMath MakeMemoryMath(const Plan& plan, const std::string& format, bool stored, const MemoryQuery& query);

}  // namespace qad

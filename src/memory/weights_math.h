// Bytes of a model's weights by component: as stored, as they would be in another format, as the runtime holds them.
// Pure functions of the plan; tests prove them equal to what is written and allocated.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/plan.h"
#include "results/memory_math.h"

namespace qad {

// A way to store weights: the linear layers in one format, the rest (embeddings, head, norms, biases) in another.
// A matrix whose rows do not divide into the format's blocks is kept as the rest is, as converters do.
struct WeightScheme {
  std::string_view name;
  FormatId linears, rest;
};

// "fp16", "int8" (per output channel), "int4" (groups of 32 with an f16 scale and offset: q4_1), "f32", "bf16", then
// every block format of formats/ by its own name. Null where unknown.
const WeightScheme* FindScheme(std::string_view name);

// The plan of a model that does not exist on disk, or of one stored otherwise than it is.
Plan PlanInScheme(const ModelConfig& config, const WeightScheme& scheme, WeightMode mode = WeightMode::kAsStored);

// The same of a scheme's name, or of llama.cpp's file types ("Q4_K_M"; "gguf:Q4_0" as arms call them), which mix
// formats. Errors (kUsage): an unknown name. `importance`: as AssignFormats takes it.
Plan PlanInFormat(const ModelConfig& config, std::string_view name, bool importance = false);
std::string FormatNames();  // all that it takes, for messages

// Bytes in the file: the sum is plan.stored_bytes().
WeightsMath StoredWeights(const Plan& plan, const std::string& format, bool stored);
// Bytes allocated: layouts, scales, and the padding of each group of tensors to whole cache lines. The sum is
// plan.weight_bytes(), which is Weights::allocated_bytes().
WeightsMath ResidentWeights(const Plan& plan, const std::string& format);

// The format that holds most bytes of the linear layers: "q4_1", "bf16".
std::string MainFormat(const Plan& plan);

// "20/32 B", "1 B".
std::string BytesPerValue(const Format& format);

// 134,515,008.
std::string Grouped(uint64_t number);

}  // namespace qad

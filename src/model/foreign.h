// Matrices that other tools quantized, as their safetensors folders hold them: GPTQ, AWQ, compressed-tensors,
// bitsandbytes. Sizes are taken from the tensors and held against the plan and each other; what config.json says must
// agree. model/source.cc alone uses this.
#pragma once

#include <optional>
#include <string>

#include "formats/grouped.h"
#include "formats/nf4.h"
#include "io/model_files.h"
#include "model/plan.h"

namespace qad {

// "(2, 3)".
std::string ShapeText(const std::vector<int64_t>& shape);
// GPT-2 checkpoints are found with and without the leading "transformer.". Null where there is none.
const SafetensorsEntry* FindEntry(const ModelFiles& files, const std::string& name);

// nullopt where the matrix is stored in no such way. Errors (kInput): tensors that are missing or of another shape or
// type; layouts that this version does not read.
std::optional<GroupedView> FindGrouped(const ModelFiles& files, const TensorSpec& spec);
std::optional<Nf4View> FindNf4(const ModelFiles& files, const TensorSpec& spec);

StoredAs StoredGrouped(const GroupedView& view);
StoredAs StoredNf4(const Nf4View& view);

}  // namespace qad

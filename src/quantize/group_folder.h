// The folder of a model in groups (quantize/group_model.h): what its files say and hold.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "quantize/group_model.h"
#include "quantize/layer_store.h"

namespace qad {

// What stored zeros lack: GPTQ's first version holds zeros less one, which only symmetric codes can.
unsigned ZeroOffset(const GroupModelOptions& options);
// quantization_config of config.json, in the words of the layout's readers.
Json GroupQuantizationConfig(const GroupModelOptions& options);
// A matrix's name without its last part.
std::string BaseName(const TensorSpec& spec);

// All layers from the store, and what is outside of them, in f16 and vectors in f32. Errors: kNumeric (NaN, or values
// beyond f16), kFailed.
void WriteGroupWeights(const std::filesystem::path& path, const ModelFiles& files, const Plan& plan,
                       const LayerStore& store);

}  // namespace qad

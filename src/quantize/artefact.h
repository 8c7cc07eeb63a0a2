// A quantized model as a folder of its own: what stands beside the weights.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "io/model_files.h"
#include "io/safetensors.h"
#include "model/plan.h"
#include "quantize/report.h"

namespace qad {

// config.json of `source` with `quantization` as its quantization_config; for a GGUF, made from its header.
// Errors (kInput): the source is quantized already and no GGUF; its header says something config.json cannot.
Json ArtefactConfig(const ModelFiles& source, const Json& quantization);
// The same of weights that are all dense, in this torch_dtype, whatever the source is; marked as made by qad. Errors
// (kInput): its header.
Json DenseConfig(const ModelFiles& source, const std::string& dtype);

// The fields of transformers' config.json that `config` holds.
Json ConfigToJson(const ModelConfig& config);

// The tokenizer's files: copied from a folder, or tokenizer.json and tokenizer_config.json made from a GGUF's fields
// (none where it has no vocabulary). Errors: kInput as TokenizerOf, kFailed where they cannot be written.
void WriteTokenizerFiles(const ModelFiles& source, const std::filesystem::path& folder);

// What was written into an artefact's weights.
struct WrittenWeights {
  uint64_t source_bytes = 0;
  std::vector<RoleError> errors;
};
// A folder with config.json (as `config` makes it), the tokenizer and what `write` puts into the weights' path,
// swapped in whole. Errors: as RequireReplaceable, ArtefactConfig, WriteTokenizerFiles, `write`; what stood at `output`
// stays then.
QuantizeReport WriteFolder(const std::filesystem::path& source, const std::filesystem::path& output,
                           const std::function<Json(const ModelFiles&)>& config, int threads,
                           const std::function<WrittenWeights(const ModelFiles&, const std::filesystem::path&)>& write);

bool AreFinite(std::span<const float> values);
// Of all tensors. Errors (kNumeric): the first that holds NaN or infinity, by name.
void RequireFiniteWeights(const ModelFiles& files, const Plan& plan);
// Error: kNumeric, which names the tensor.
[[noreturn]] void FailNotFinite(const ModelFiles& files, const std::string& tensor, std::optional<size_t> row = {});
void RequireFinite(std::span<const float> values, const ModelFiles& files, const TensorSpec& spec);

// A tensor that stays dense, in `type`: F32, F16 or BF16. Its bytes are made in `buffer` when its turn comes; kNumeric
// then, where it holds NaN, infinity or what is beyond f16.
TensorToWrite KeptTensor(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec, DType type,
                         std::vector<std::byte>& buffer);
// Matrices in bf16 (f16 where stored so), vectors as stored.
DType KeptType(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec);

// `output` may be replaced: it does not exist, is empty, or is an artefact of qad, and is not the source itself.
// Errors (kUsage) otherwise: nothing that qad did not write is ever deleted.
void RequireReplaceable(const std::filesystem::path& output, const std::filesystem::path& source);

}  // namespace qad

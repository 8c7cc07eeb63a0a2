// A model with an adapter merged into its weights, W + s · B A, as a folder of dense weights that any reader takes.
// Hu et al. 2021, "LoRA", section 4.1: no further latency at inference.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "io/safetensors.h"
#include "quantize/report.h"

namespace qad {

// What is added to one linear layer.
struct LowRankUpdate {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  size_t in = 0, out = 0, rank = 0;
  float scale = 0;
  std::span<const float> a, b;  // (rank, in), (out, rank)
};

struct MergeOptions {
  DType type = DType::kBF16;  // F32, F16 or BF16, of all tensors
  bool subtract = false;      // takes a merged adapter out again, as far as rounding has left it
  int threads = 0;            // 0: all cores
  bool quiet = false;         // no progress
};

// The source may be quantized: what it decodes to is what the adapter is added to, in f32. GPT-2's Conv1D lies
// transposed, as transformers has it. Errors: as RequireReplaceable, kInput (as FindSource; a module that the model
// lacks, or of another shape), kNumeric (NaN or infinity, or values beyond f16), kFailed, kInterrupted.
QuantizeReport MergeAdapter(const std::filesystem::path& source, std::span<const LowRankUpdate> updates,
                            const std::filesystem::path& output, const MergeOptions& options);

}  // namespace qad

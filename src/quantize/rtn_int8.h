// INT8 by rounding to nearest: symmetric codes −127 … 127, w ≈ scale·q with scale = max|w| / 127 over an output channel
// (a row of the (out, in) matrix) or over the whole tensor. No calibration, no solver: the baseline that any better
// method has to beat. Conv1D matrices (GPT-2) are quantized by output channel too, and stored (out, in).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "quantize/report.h"

namespace qad {

struct Int8Options {
  bool per_tensor = false;  // one scale for the whole matrix; it is stored once a row all the same
  bool embeddings = false;  // embeddings and an untied head as well
  bool quiet = false;       // no progress
  int threads = 0;          // 0: all cores
};

// codes[i] = round-half-even(values[i] / scale), as formats/int8's encoder.
void RoundToInt8(std::span<const float> values, float scale, int8_t* codes);

// Reads any model that the plan describes and writes a folder that OpenModel reads: int8 tensors "<name>" with
// "<name>_scale" (F32, one a row), other matrices in bf16 (f16 where stored so), vectors as stored; config.json with
// quantization_config {"quant_method": "qad-int8", …}; the tokenizer. The folder is swapped in whole.
// Errors: kInput (as FindSource, ArtefactConfig, WriteTokenizerFiles), kUsage (as RequireReplaceable), kNumeric (NaN or
// infinity among the weights), kFailed (disk full …), kInterrupted; what stood at `output` stays in all of them.
QuantizeReport QuantizeInt8(const std::filesystem::path& source, const std::filesystem::path& output,
                            const Int8Options& options);

}  // namespace qad

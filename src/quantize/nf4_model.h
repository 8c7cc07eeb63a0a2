// NF4 in the files of bitsandbytes: no calibration. A block's scale is not its largest magnitude but the one of the
// least squared error among candidates below and around it.
#pragma once

#include <filesystem>

#include "io/model_files.h"
#include "model/plan.h"
#include "quantize/report.h"

namespace qad {

struct Nf4Options {
  bool double_quantization = true;  // scales as bytes
  bool quiet = false;               // no progress
  int threads = 0;                  // 0: all cores
};

// Errors (kInput): a matrix whose rows blocks of 64 do not divide.
void RequireNf4Fits(const ModelFiles& files, const Plan& plan);

// Reads any model that the plan describes and writes a folder that bitsandbytes, through transformers, and qad read:
// the linear operations of decoder blocks in NF4 with scales of 64 values, the rest in bf16, or f16 where embeddings
// are stored so: transformers wants one type. Errors: as QuantizeInt8.
QuantizeReport QuantizeNf4(const std::filesystem::path& source, const std::filesystem::path& output,
                           const Nf4Options& options);

}  // namespace qad

// A model written as a GGUF file of one of llama.cpp's file types.
#pragma once

#include <filesystem>

#include "model/gguf_types.h"
#include "quantize/gguf_solve.h"
#include "quantize/importance.h"
#include "quantize/report.h"

namespace qad {

struct GgufOptions {
  const GgufFileType* type = nullptr;
  std::span<const FormatId> formats = {};  // of the plan's tensors; empty: as the type hands them out
  const Importance* importance = nullptr;  // of tensors that are rounded without feedback; null: all inputs alike
  GgufFeedback feedback = {};
  bool quiet = false;  // no progress
  int threads = 0;     // 0: all cores
};

// Reads any model that the plan describes. Scales are searched (quantize/ggml_grid.h), with each input weighted by its
// importance; with feedback, matrices of decoder blocks are solved by quantize/gguf_solve.h, and an interrupted run
// goes on behind its last finished layer. The file carries a vocabulary where the source has one, and is replaced whole
// or not at all. Errors: kInput (as FindSource, MetadataFor; an importance of another width; with feedback a family
// that is not run), kUsage (`output` exists and is no GGUF file of qad's), kNumeric (NaN or infinity among the weights;
// a scale beyond f16), kFailed, kInterrupted.
struct GgufMade {
  uint64_t bytes = 0, source_bytes = 0;
  std::vector<RoleError> errors;
  std::vector<double> changes;  // as QuantizeReport has them
};
GgufMade MakeGguf(const std::filesystem::path& source, const std::filesystem::path& output, const GgufOptions& options);
// The same within a frame of its own.
QuantizeReport QuantizeGguf(const std::filesystem::path& source, const std::filesystem::path& output,
                            const GgufOptions& options);

// `output` may be replaced: it does not exist, or is a GGUF file of qad's, and is not the source. Errors (kUsage)
// otherwise.
void RequireReplaceableGguf(const std::filesystem::path& output, const std::filesystem::path& source);

// The size of the file that it would write with these formats.
uint64_t GgufModelBytes(const ModelFiles& files, const Plan& plan, const GgufOptions& options);

}  // namespace qad

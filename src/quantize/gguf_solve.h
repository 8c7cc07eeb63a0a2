// The blocks of a GGUF file's matrices with error feedback (quantize/gptq.h), layer by layer through the quantized
// prefix.
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "quantize/block_walk.h"
#include "quantize/calibration.h"
#include "quantize/layer_store.h"

namespace qad {

struct GgufFeedback {
  const Calibration* calibration = nullptr;  // null: no feedback
  double damping = 0.01;                     // of the mean of H's diagonal
  bool act_order = true;                     // inputs of large moments first; all blocks are begun before
};

// Of all that the solved layers depend on.
Json GgufFeedbackKey(const ModelFiles& files, std::span<const FormatId> formats, const GgufFeedback& feedback);

// Matrices of decoder blocks whose format has blocks go into `store`, a layer each, as bytes of shape
// (rows, RowBytes) under the plan's names, rows as the plan has them. `formats`: of the plan's tensors. Layers that are
// there are passed over. Errors: kNumeric (NaN among weights or inputs; as MakeFeedback and SolveGgml), kFailed,
// kInterrupted.
void SolveGguf(const ModelFiles& files, const Plan& plan, std::span<const FormatId> formats,
               const GgufFeedback& feedback, Context& context, LayerStore& store, bool quiet);

}  // namespace qad

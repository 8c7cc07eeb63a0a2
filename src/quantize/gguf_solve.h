// The blocks of a GGUF file's matrices with error feedback (quantize/gptq.h), layer by layer through the quantized
// prefix.
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "quantize/block_walk.h"
#include "quantize/calibration.h"
#include "quantize/fisher.h"
#include "quantize/layer_store.h"

namespace qad {

struct GgufFeedback {
  const Calibration* calibration = nullptr;  // null: no feedback
  double damping = 0.01;                     // of the mean of H's diagonal
  bool act_order = true;                     // inputs of large moments first; all blocks are begun before
  const Fisher* fisher = nullptr;            // with it embeddings and head are solved, too
};

// What an error e in a row of a matrix costs: KL ≈ ½ Σ_rows weight · e H eᵀ / rows of H, after quantize/fisher.h.
struct ErrorForm {
  std::vector<float> gram;      // H, (cols, cols)
  size_t gram_rows = 0;         // of inputs that were summed
  std::vector<double> weights;  // of each row: E[g²]
};
// Of the token embedding or the head; of a tied one both uses are added up, a row's share of look-ups taken as its
// share of predictions. `output`: BlockWalk::Output.
ErrorForm FormOutsideBlocks(const Plan& plan, const TensorSpec& spec, const Fisher& fisher, const BlockInput& output,
                            Context& context);
// Rows of a tensor in f32, one after another.
std::vector<float> ReadRows(const ModelFiles& files, const Plan& plan, const TensorSpec& spec,
                            std::span<const size_t> rows);

// Of all that the solved layers depend on.
Json GgufFeedbackKey(const ModelFiles& files, std::span<const FormatId> formats, const GgufFeedback& feedback);

// Matrices whose format has blocks go into `store`, a layer each and behind them those outside of decoder blocks, as
// bytes of shape (rows, RowBytes) under the plan's names, rows as the plan has them. `formats`: of the plan's tensors.
// Layers that are there are passed over. Errors: kNumeric (NaN among weights or inputs; as MakeFeedback and SolveGgml),
// kFailed, kInterrupted.
void SolveGguf(const ModelFiles& files, const Plan& plan, std::span<const FormatId> formats,
               const GgufFeedback& feedback, Context& context, LayerStore& store, bool quiet);

}  // namespace qad

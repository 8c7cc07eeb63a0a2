#include "model/footprint.h"

#include <algorithm>

#include "base/capped.h"

namespace qad {
namespace {

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

size_t UpWidth(const ModelConfig& c) { return ActivationInputs(c.family->traits.activation, c.intermediate); }

size_t PaddedRows(size_t rows) {
  if (rows <= 8) return rows;
  return RoundUp(rows, rows <= 128 ? 16 : 64);
}

size_t TrainingRows(size_t tokens) { return RoundUp(tokens, 16); }

// Residual and its norm; then packed q|k|v and attention's output, or gate and up, where their activation is left.
size_t WorkspaceBytes(const ModelConfig& c, size_t rows) {
  const size_t width = c.hidden * 2 + std::max(c.qkv_outputs() + c.heads * c.head_dim, UpWidth(c));
  return PaddedRows(rows) * width * sizeof(float);
}

size_t StepRows(const ModelConfig& c) {
  // Weights are read, and decoded, once a step.
  constexpr size_t kLeast = 128, kMost = 1024, kWhole = 64, kBytes = size_t{24} << 20;
  const size_t rows = kBytes / WorkspaceBytes(c, 1);
  return std::clamp(rows / kWhole * kWhole, kLeast, kMost);
}

size_t InferenceBytes(const ModelConfig& c, size_t context, size_t sequences) {
  const size_t rows = std::max(sequences, std::min(StepRows(c), context * sequences));
  return WorkspaceBytes(c, rows) + sequences * c.vocab * sizeof(float);
}

namespace {

// Of a row of `width` values that may be kept in bf16.
size_t KeptFloats(size_t width, const TapeSettings& settings) { return settings.bf16 ? (width + 1) / 2 : width; }

size_t WidestProduct(const ModelConfig& c) { return std::max(UpWidth(c), c.qkv_outputs()); }

}  // namespace

size_t LossBytes(const ModelConfig& c) { return kLossRows * (c.vocab + 3 * c.hidden) * sizeof(float); }

// Two residuals, two floats of statistics for each norm, q|k|v, a log-sum for each head, attention's output, gate and
// up.
size_t TapeLayerFloats(const ModelConfig& c, size_t rows, const TapeSettings& settings) {
  const size_t products = KeptFloats(c.qkv_outputs(), settings) + KeptFloats(UpWidth(c), settings);
  return rows * (2 * c.hidden + 4 + c.heads + c.heads * c.head_dim + products);
}

// The widest product's gradient, and in bf16 the product itself before it is rounded.
size_t TrainingBufferFloats(const ModelConfig& c, size_t rows, const TapeSettings& settings) {
  const size_t narrow = std::max(c.hidden, c.intermediate);
  return rows * ((settings.bf16 ? 2 : 1) * WidestProduct(c) + 2 * narrow + c.heads * c.head_dim);
}

size_t TrainingBytes(const ModelConfig& c, size_t tokens, const RankSums& ranks, const TapeSettings& settings) {
  const size_t rows = TrainingRows(tokens), layer = TapeLayerFloats(c, rows, settings);
  // Of layers that are computed again the inputs; of the last one its output, too.
  const uint64_t tape =
      settings.recompute
          ? CappedSum({layer, CappedProduct({rows, c.layers, c.hidden}), CappedProduct({rows, ranks.layer})})
          : CappedSum(
                {CappedProduct({c.layers, layer}), CappedProduct({rows, c.hidden}), CappedProduct({rows, ranks.all})});
  return CappedProduct({CappedSum({tape, TrainingBufferFloats(c, rows, settings), rows * c.hidden}), sizeof(float)});
}

}  // namespace qad

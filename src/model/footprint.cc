#include "model/footprint.h"

#include <algorithm>

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

// Two residuals, two floats of statistics for each norm, q|k|v, a log-sum for each head, attention's output, gate and
// up.
size_t TapeLayerFloats(const ModelConfig& c, size_t rows) {
  return rows * (2 * c.hidden + 4 + c.qkv_outputs() + c.heads + c.heads * c.head_dim + UpWidth(c));
}

size_t TrainingBufferFloats(const ModelConfig& c, size_t rows) {
  const size_t wide = std::max(UpWidth(c), c.qkv_outputs()), narrow = std::max(c.hidden, c.intermediate);
  return rows * (2 * wide + 2 * narrow + c.heads * c.head_dim);
}

size_t RecomputingBytes(const ModelConfig& c, size_t tokens, size_t layer_ranks) {
  const size_t rows = TrainingRows(tokens);
  const size_t tape = TapeLayerFloats(c, rows) + rows * (c.layers * c.hidden + layer_ranks);
  return (tape + TrainingBufferFloats(c, rows) + rows * c.hidden) * sizeof(float);
}

size_t TrainingBytes(const ModelConfig& c, size_t tokens, size_t ranks) {
  const size_t rows = TrainingRows(tokens);
  const size_t tape = c.layers * TapeLayerFloats(c, rows) + rows * c.hidden + rows * ranks;
  return (tape + TrainingBufferFloats(c, rows) + rows * c.hidden) * sizeof(float);
}

}  // namespace qad

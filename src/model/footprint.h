// Bytes of the buffers that running and training a model take, as functions of its configuration alone: the engine
// allocates by them, memory/ predicts with them before there is a model.
#pragma once

#include <cstddef>

#include "model/config.h"

namespace qad {

// Outputs of the product before the activation: gate and up side by side where the family is gated.
size_t UpWidth(const ModelConfig& config);

// Rows of a dense product are rounded up, so that few shapes are compiled and vector tails are rare.
size_t PaddedRows(size_t rows);

// Packed prompt rows that one step of generation takes at most; a longer prompt goes in several steps. At most 1,024,
// and as few as keep a step's activations within 24 MiB, but 128.
size_t StepRows(const ModelConfig& config);

// Activations of one forward step over `rows` packed rows: Transformer::WorkspaceBytes.
size_t WorkspaceBytes(const ModelConfig& config, size_t rows);

// Activations of one step of inference over sequences of up to `context` tokens, and its logits (one row a sequence).
// Nothing is saturated: up to 2^20 sequences of 2^31 tokens, as commands accept, stay far below 2^64.
size_t InferenceBytes(const ModelConfig& config, size_t context, size_t sequences);

// Packed training rows are rounded up to whole tiles.
size_t TrainingRows(size_t tokens);
inline constexpr size_t kLossRows = 128;  // rows of logits that exist at once in training
// Of these rows the logits, their inputs before and after the norm, and the gradient of these.
size_t LossBytes(const ModelConfig& config);

// What training keeps for the way back.
struct TapeSettings {
  bool recompute = false;  // of each block its input alone: the rest is computed again, bit for bit
  bool bf16 = false;       // q|k|v, and gate and up, rounded to bf16
};
// Floats of what one layer keeps for its backward, the adapters' share apart.
size_t TapeLayerFloats(const ModelConfig& config, size_t rows, const TapeSettings& settings);
// Floats of the buffers that all layers share, the gradient of the residual apart.
size_t TrainingBufferFloats(const ModelConfig& config, size_t rows, const TapeSettings& settings);
// Sums of adapters' ranks: of all of them, and within one layer, the largest of each linear operation where layers
// differ.
struct RankSums {
  size_t all = 0, layer = 0;
};
// Tape, buffers and gradient of the residual for `tokens` packed tokens: TrainingPass::Bytes. 2^64 − 1 where that is
// more.
size_t TrainingBytes(const ModelConfig& config, size_t tokens, const RankSums& ranks, const TapeSettings& settings);

}  // namespace qad

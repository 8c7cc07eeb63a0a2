// Perplexity of a text under a model, and how far its predictions are from a reference's.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "model/transformer.h"

namespace qad {

enum class WindowProtocol : uint8_t {
  kAll,       // every position after the first of each window is scored
  kLlamaCpp,  // the second half of each window, as llama-perplexity does
};

struct PerplexityOptions {
  std::string text = "the text";  // what an error calls it: a file's name
  size_t context = 512;           // tokens of a window; windows do not overlap, the last partial one is dropped
  WindowProtocol protocol = WindowProtocol::kAll;
  size_t max_windows = 0;                     // 0: all
  FormatId kv_type = FormatId::kF32;          // of the model; the reference's cache is f32
  RowsAre rows = RowsAre::kOfPrompts;         // how the model multiplies; the reference does as prompts are
  std::optional<TokenId> bos = std::nullopt;  // put first in every window where the model's tokenizer does so
  bool quiet = false;
};

// Standard errors are those of the mean over tokens. KL divergence is D(reference ‖ model) in nats, mean over
// positions.
struct PerplexityResult {
  double perplexity = 0, perplexity_stderr = 0;
  // Only with a reference.
  double reference_perplexity = 0, kl_divergence = 0, kl_stderr = 0, same_top1 = 0;
  size_t tokens = 0, windows = 0;
  bool has_reference = false;
};

// One side of a comparison. With exact numerics both may share a context; a reference brings its own.
struct ScoredModel {
  Context* context;
  Transformer* transformer;
};

// Errors (kInput): fewer tokens than one window; a reference with another vocabulary; (kNumeric) logits not finite.
PerplexityResult Perplexity(const ScoredModel& model, const ScoredModel* reference, std::span<const TokenId> tokens,
                            const PerplexityOptions& options);

}  // namespace qad

// Batched generation: sequences of different lengths join and leave one batch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/kv_cache.h"
#include "model/transformer.h"

namespace qad {

struct GenerateOptions {
  int max_new_tokens = 64;
  double temperature = 0;   // 0: greedy
  int top_k = 0;            // 0: off
  double top_p = 1;         // nucleus sampling (Holtzman et al. 2020)
  uint64_t seed = 0;        // sampling is a function of (seed, prompt's index, position): equal for any batch size
  bool ignore_end = false;  // go on to max_new_tokens: for timing
  size_t max_batch = 16;    // sequences in flight at most; fewer where memory is short
  FormatId kv_type = FormatId::kF16;
  // Answers whose probability is measured while the prompts are computed: one for each prompt, or none at all.
  std::span<const std::vector<TokenId>> references = {};
  // Called with each new token of prompt `index`; may be empty.
  std::function<void(size_t index, TokenId token)> on_token;
};

struct Generated {
  std::vector<TokenId> tokens;                  // without the end-of-generation token
  bool truncated = false;                       // stopped by max_new_tokens
  double first_token_seconds = 0, seconds = 0;  // from the start of its own prefill
  double reference_log_probability = 0;         // log p(reference | prompt), summed over its tokens; 0 where none
};

// Prompts must not be empty; a common prefix is computed once where `share_prefix`.
// Errors (kInput): a prompt plus max_new_tokens (or plus its reference) exceeds the model's positions (says which, and
// by how much), or the sequences in flight do not fit into memory; (kNumeric): logits are NaN.
std::vector<Generated> Generate(Context& context, Transformer& model, const Tokenizer& tokenizer,
                                std::span<const std::vector<TokenId>> prompts, const GenerateOptions& options,
                                bool share_prefix = true);

}  // namespace qad

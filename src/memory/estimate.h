// KV cache and buffers by formula, and what fits into a budget. Pure functions of the configuration and the plan; tests
// prove them equal to what the engine allocates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/plan.h"
#include "results/memory_math.h"

namespace qad {

// Keys and values of `batch` sequences of `context` tokens. A sliding window keeps that many tokens only. `gqa` false:
// as if every query head had its own key and value. Formats: the dense ones, and block formats that divide the head's
// dimension. Sums beyond 64 bits are UINT64_MAX.
uint64_t KvBytes(const ModelConfig& config, uint64_t context, uint64_t batch, FormatId type, bool gqa = true);

// `batch` sequences that may grow to `context` tokens each and have come to `tokens`, of which the first `prefix` are
// the same in all of them.
struct KvCase {
  uint64_t context = 0, batch = 1, tokens = 0, prefix = 0;
};
inline constexpr uint64_t kKvBlock = 16;  // tokens of a block, vLLM's default (Kwon et al. 2023, PagedAttention)

// What the sequences' tokens take; what a runtime takes that reserves the whole context of each (as this program does,
// for the longest of a batch), one that hands out blocks as they grow, and one whose blocks of the prefix are the same.
// Errors (kUsage): more tokens than the context, or more of the prefix than tokens.
std::vector<KvAllotment> KvAllotments(const ModelConfig& config, const KvCase& asked, FormatId type);

// What one process holds while it answers.
struct InferenceParts {
  uint64_t process = 0;  // before it loads anything: the program and its libraries
  uint64_t tokenizer = 0, weights = 0, cache = 0, workspace = 0, adapter = 0, retrieval = 0;

  // All of them together, the large ones in whole huge pages. Scratch of single operations and what else of the program
  // is touched come on top: some MiB.
  uint64_t resident() const;
};

// `held` bytes (weights, and whatever else stays), cache and one step's buffers.
uint64_t NeededBytes(const Plan& plan, FormatId kv_type, uint64_t context, uint64_t batch, uint64_t held);

// The longest context, up to the model's positions, whose NeededBytes are `budget` at most.
FitAnswer Fit(const Plan& plan, const std::string& format, FormatId kv_type, uint64_t batch, uint64_t budget,
              uint64_t held);
// The most sequences of `context` tokens each that fit so, up to kMostSequences; 0: not one.
int64_t FitSequences(const Plan& plan, FormatId kv_type, uint64_t context, uint64_t budget, uint64_t held);

}  // namespace qad

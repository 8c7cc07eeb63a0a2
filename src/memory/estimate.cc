#include "memory/estimate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/capped.h"
#include "base/error.h"
#include "base/huge_pages.h"
#include "memory/weights_math.h"
#include "model/footprint.h"

namespace qad {

uint64_t KvBytes(const ModelConfig& config, uint64_t context, uint64_t batch, FormatId type, bool gqa) {
  const uint64_t heads = gqa ? config.kv_heads : config.heads, row = GetFormat(type).RowBytes(config.head_dim);
  const auto of_layers = [&](uint64_t layers, uint64_t tokens) {
    return CappedProduct({layers, batch, 2, heads, tokens, row});
  };
  if (config.sliding_window == 0) return of_layers(config.layers, context);
  return CappedSum({of_layers(config.full_layers, context),
                    of_layers(config.layers - config.full_layers, std::min<uint64_t>(context, config.sliding_window))});
}

namespace {

// Keys and values that sequences of `tokens` tokens share where their first `prefix` are the same, whole blocks of
// them. What has left a window is there no more.
uint64_t SharedBytes(const ModelConfig& config, uint64_t tokens, uint64_t prefix, FormatId type) {
  const uint64_t blocks = prefix / kKvBlock * kKvBlock, window = config.sliding_window;
  ModelConfig unwindowed = config;
  unwindowed.sliding_window = 0;
  const uint64_t of_layer = KvBytes(unwindowed, 1, 1, type) / config.layers;
  if (window == 0) return CappedProduct({of_layer, config.layers, blocks});
  const uint64_t left = tokens > window ? tokens - window : 0;
  return CappedSum({CappedProduct({of_layer, config.full_layers, blocks}),
                    CappedProduct({of_layer, config.layers - config.full_layers, blocks > left ? blocks - left : 0})});
}

}  // namespace

std::vector<KvAllotment> KvAllotments(const ModelConfig& config, const KvCase& asked, FormatId type) {
  if (asked.tokens > asked.context || asked.prefix > asked.tokens)
    Fail(ErrorKind::kUsage,
         "sequences that may grow to {} tokens, have {} and share the first {}: each must be at most the one before",
         asked.context, asked.tokens, asked.prefix);
  const uint64_t blocks = (asked.tokens + kKvBlock - 1) / kKvBlock * kKvBlock;
  std::vector<KvAllotment> ways = {
      {"the tokens alone", fmt::format("{} × {} tokens", asked.batch, Grouped(asked.tokens)),
       KvBytes(config, asked.tokens, asked.batch, type)},
      {"contiguous", fmt::format("{} × {} tokens", asked.batch, Grouped(asked.context)),
       KvBytes(config, asked.context, asked.batch, type)},
      {"paged", fmt::format("{} × {} blocks of {}", asked.batch, Grouped(blocks / kKvBlock), kKvBlock),
       KvBytes(config, blocks, asked.batch, type)}};
  const uint64_t one = KvBytes(config, blocks, 1, type), shared = SharedBytes(config, asked.tokens, asked.prefix, type);
  if (asked.batch > 1 && shared > 0)
    ways.push_back({"paged, prefix shared",
                    fmt::format("of it {} × {} blocks once", asked.batch, Grouped(asked.prefix / kKvBlock)),
                    CappedSum({CappedProduct({asked.batch, one - shared}), shared})});
  return ways;
}

uint64_t InferenceParts::resident() const {
  return CappedSum({process, tokenizer, HugeSize(weights), HugeSize(cache), workspace, adapter, HugeSize(retrieval)});
}

uint64_t NeededBytes(const Plan& plan, FormatId kv_type, uint64_t context, uint64_t batch, uint64_t held) {
  return CappedSum({held, KvBytes(plan.config, context, batch, kv_type), InferenceBytes(plan.config, context, batch)});
}

FitAnswer Fit(const Plan& plan, const std::string& format, FormatId kv_type, uint64_t batch, uint64_t budget,
              uint64_t held) {
  const uint64_t trained_for = plan.config.max_positions;
  const auto fits = [&](uint64_t context) { return NeededBytes(plan, kv_type, context, batch, held) <= budget; };
  const uint64_t longest = Greatest(trained_for, fits);
  return {.budget = budget,
          .weights = format,
          .kv_type = std::string(GetFormat(kv_type).name),
          .batch = static_cast<int64_t>(batch),
          .max_context = static_cast<int64_t>(longest),
          .limited_by_model = longest == trained_for && fits(trained_for + 1)};
}

int64_t FitSequences(const Plan& plan, FormatId kv_type, uint64_t context, uint64_t budget, uint64_t held) {
  return static_cast<int64_t>(Greatest(kMostSequences, [&](uint64_t sequences) {
    return NeededBytes(plan, kv_type, context, sequences, held) <= budget;
  }));
}

}  // namespace qad

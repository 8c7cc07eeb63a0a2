#include "memory/measure.h"

#include <algorithm>

#include "base/process.h"
#include "memory/estimate.h"
#include "model/footprint.h"
#include "model/transformer.h"
#include "ops/context.h"

namespace qad {

std::vector<PredictedMeasured> MeasureMemory(const ModelFiles& files, const Plan& plan, uint64_t context,
                                             uint64_t batch, FormatId kv_type, int threads) {
  const ModelConfig& config = plan.config;
  RequireRunnable(config, ConfigPath(files).string());
  RequireRoom(config, batch, context, kv_type, AvailableMemoryBytes());
  Context work(Numerics::kFast, threads);
  (void)ResetPeakRss();
  const uint64_t before = CurrentRssBytes();
  Transformer model(std::make_shared<const Weights>(plan, files));
  KvCache cache(config, batch, context, kv_type);
  // As many rows as a step takes: of one sequence, or of several.
  uint64_t rows = std::max(batch, std::min<uint64_t>(StepRows(config), context * batch));
  std::vector<std::vector<TokenId>> tokens;
  std::vector<Segment> segments;
  std::vector<size_t> last;
  for (uint64_t slot = 0; slot < batch; ++slot) {
    const uint64_t share = std::min(context, rows - (batch - slot - 1));  // the others get a token at least
    rows -= share;
    tokens.emplace_back(share, TokenId{0});
    last.push_back((last.empty() ? 0 : last.back() + 1) + share - 1);
  }
  for (size_t slot = 0; slot < batch; ++slot) segments.push_back({.slot = slot, .start = 0, .tokens = tokens[slot]});
  std::vector<float> logits(batch * config.vocab);
  model.Forward(work, segments, cache, last, logits.data());
  const InferenceParts parts{.process = before,
                             .weights = plan.weight_bytes(),
                             .cache = KvBytes(config, context, batch, kv_type),
                             .workspace = InferenceBytes(config, context, batch)};
  const uint64_t peak = PeakRssBytes();
  return {{"weights", parts.weights, model.weights().allocated_bytes()},
          {"KV cache", parts.cache, cache.allocated_bytes()},
          {"workspace", parts.workspace, model.workspace_bytes() + logits.size() * sizeof(float)},
          {"peak RSS", parts.resident(), peak, AllowedInInference(peak)}};
}

}  // namespace qad

#include "memory/torch_training.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/capped.h"

namespace qad {
namespace {

constexpr uint64_t kBf16 = 2, kF32 = 4, kNf4Block = 64, kNf4Scales = 256;

uint64_t Nf4Bytes(uint64_t elements) {
  const uint64_t scales = (elements + kNf4Block - 1) / kNf4Block;
  return elements / 2 + scales + (scales + kNf4Scales - 1) / kNf4Scales * kF32;
}

struct BaseBytes {
  uint64_t bytes = 0, widest = 0;  // widest: the largest matrix in bf16, as it is decoded to be multiplied
};

BaseBytes BaseOf(const Plan& plan, bool nf4) {
  BaseBytes base;
  for (const TensorSpec& spec : plan.tensors) {
    const bool in_nf4 = nf4 && IsBlockMatrix(spec);
    base.bytes += in_nf4 ? Nf4Bytes(spec.elements()) : spec.elements() * kBf16;
    if (in_nf4) base.widest = std::max(base.widest, spec.elements() * kBf16);
  }
  return base;
}

// Values that a block keeps of a token for its way back: the inputs of both norms and of the linear operations, q, k,
// v, attention's output, gate, up and their product.
uint64_t BlockValues(const ModelConfig& config) {
  return 4 * config.hidden + config.qkv_outputs() + config.heads * config.head_dim + UpWidth(config) +
         config.intermediate;
}

}  // namespace

TrainingMath TorchTrainingMemory(const Plan& plan, const TrainingQuery& query) {
  const TorchSettings settings = query.torch.value_or(TorchSettings());
  const ModelConfig& config = plan.config;
  const bool full = query.method == TrainingMethod::kFull, nf4 = query.method == TrainingMethod::kQlora;
  const uint64_t trained = full ? plan.parameters() : AdapterOf(plan, query).parameters;
  const BaseBytes base = BaseOf(plan, nf4);
  TrainingMath math;
  math.method = fmt::format("{} in PyTorch", NameOf(query.method));
  math.assumptions =
      fmt::format("bf16 throughout, {} tokens a pass, activations {}, loss in {} chunks", Grouped(query.tokens),
                  !settings.checkpointing ? "kept"
                  : settings.offloading   ? "checkpointed and offloaded"
                                          : "checkpointed",
                  settings.loss_chunks);
  math.Add(full ? "weights" : "frozen base",
           nf4 ? "blocks' linears in NF4, 4 + 8/64 + 32/(64·256) bits; the rest × 2 B"
               : fmt::format("{} × 2 B", Grouped(plan.parameters())),
           base.bytes);
  const std::string count = Grouped(trained) + " parameters × ";
  if (!full) math.Add("adapter", fmt::format("r = {}: {}2 B", query.r, count), trained * kBf16);
  math.Add("gradients", count + "2 B", trained * kBf16);
  math.Add("optimizer", count + "2 moments × 2 B", trained * 2 * kBf16);
  const uint64_t block = CappedProduct({query.tokens, BlockValues(config), kBf16});
  const uint64_t inputs = CappedProduct({query.tokens, config.hidden, kBf16, config.layers});
  if (!settings.checkpointing)
    math.Add("activations",
             fmt::format("{} blocks × {} tokens × {} × 2 B", config.layers, Grouped(query.tokens),
                         Grouped(BlockValues(config))),
             CappedProduct({block, config.layers}));
  else if (!settings.offloading)
    math.Add("activations",
             fmt::format("{} blocks' inputs: {} tokens × {} × 2 B each", config.layers, Grouped(query.tokens),
                         Grouped(config.hidden)),
             inputs);
  // The head's output stands at the end of the way forward; a block is computed again after it is gone.
  const uint64_t chunk = (query.tokens + settings.loss_chunks - 1) / settings.loss_chunks;
  const uint64_t logits =
      CappedSum({CappedProduct({query.tokens, config.vocab, kBf16}), CappedProduct({chunk, config.vocab, kF32})});
  const uint64_t again = settings.checkpointing ? CappedSum({block, base.widest}) : base.widest;
  if (logits >= again)
    math.Add("logits",
             fmt::format("{} tokens × {} × 2 B + {} tokens in f32", Grouped(query.tokens), Grouped(config.vocab),
                         Grouped(chunk)),
             logits);
  else
    math.Add("one block",
             fmt::format("computed again: {} tokens × {} × 2 B, and its widest matrix decoded", Grouped(query.tokens),
                         Grouped(BlockValues(config))),
             again);
  return math;
}

}  // namespace qad

#include "model/plan.h"

#include <map>

#include "base/error.h"

namespace qad {
namespace {

class Builder {
 public:
  Builder(const ModelConfig& config, WeightMode mode, const StoredFormatOf& stored)
      : config_(config), mode_(mode), stored_(stored) {}

  // A matrix (and its bias, where said). A new group starts unless `joins` the one before.
  void Matrix(Role role, int layer, size_t rows, size_t cols, bool bias = false, bool joins = false) {
    if (!joins) ++group_;
    Add(role, layer, rows, cols, false, group_);
    if (bias) Add(role, layer, 1, rows, true, ++bias_group_);
  }

  void NormOf(Role role, int layer) { NormOf(role, layer, config_.hidden); }
  void NormOf(Role role, int layer, size_t width) {
    Add(role, layer, 1, width, false, ++group_);
    if (config_.family->traits.all_biases) Add(role, layer, 1, width, true, ++bias_group_);
  }

  std::vector<TensorSpec> Take() { return std::move(tensors_); }

 private:
  void Add(Role role, int layer, size_t rows, size_t cols, bool bias, int group) {
    const Family& family = *config_.family;
    const char* suffix = bias ? ".bias" : ".weight";
    TensorSpec spec{.name = HfName(family, role, layer) + suffix,
                    .gguf_name = GgufName(family, role, layer) + suffix,
                    .role = role,
                    .layer = layer,
                    .bias = bias,
                    .rows = rows,
                    .cols = cols,
                    .stored = FormatId::kF32,
                    .layout = Layout::kF32,
                    .group = group};
    const StoredAs stored = stored_(spec).value_or(FormatId::kF32);
    spec.stored = stored.format;
    spec.grouped_bytes = stored.bytes;
    if (!IsVector(spec)) {
      spec.layout = mode_ == WeightMode::kF32    ? Layout::kF32
                    : mode_ == WeightMode::kBF16 ? Layout::kBF16Tile
                                                 : LayoutFor(stored);
      if (spec.layout == Layout::kInt4Zero || spec.layout == Layout::kNf4) spec.group_shift = GroupShiftFor(stored);
    }
    tensors_.push_back(std::move(spec));
  }

  const ModelConfig& config_;
  WeightMode mode_;
  const StoredFormatOf& stored_;
  std::vector<TensorSpec> tensors_;
  int group_ = 0;
  int bias_group_ = 1 << 24;  // biases never join a matrix
};

void AddLayer(const ModelConfig& config, int layer, Builder& build) {
  const Traits& traits = config.family->traits;
  const size_t q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  build.NormOf(Role::kAttentionNorm, layer);
  if (traits.fused_qkv) {
    build.Matrix(Role::kQkv, layer, q + 2 * kv, config.hidden, config.attention_bias);
  } else {
    build.Matrix(Role::kQ, layer, q, config.hidden, config.attention_bias);
    build.Matrix(Role::kK, layer, kv, config.hidden, config.attention_bias, true);
    build.Matrix(Role::kV, layer, kv, config.hidden, config.attention_bias, true);
  }
  if (traits.qk_norms)
    for (const Role role : {Role::kQNorm, Role::kKNorm}) build.NormOf(role, layer, config.head_dim);
  build.Matrix(Role::kO, layer, config.hidden, q, config.output_bias);
  if (traits.post_norms) build.NormOf(Role::kPostAttentionNorm, layer);
  build.NormOf(Role::kMlpNorm, layer);
  if (traits.fused_gate_up) {
    build.Matrix(Role::kGateUp, layer, 2 * config.intermediate, config.hidden, config.mlp_bias);
  } else {
    const bool gated = traits.activation == Activation::kSwiGlu;
    if (gated) build.Matrix(Role::kGate, layer, config.intermediate, config.hidden, config.mlp_bias);
    build.Matrix(Role::kUp, layer, config.intermediate, config.hidden, config.mlp_bias, gated);
  }
  build.Matrix(Role::kDown, layer, config.hidden, config.intermediate, config.mlp_bias);
  if (traits.post_norms) build.NormOf(Role::kPostMlpNorm, layer);
}

// Norms stand behind what they are named for.
void AddEncoder(const ModelConfig& config, Builder& build) {
  build.Matrix(Role::kTypeEmbedding, -1, config.token_types, config.hidden);
  build.NormOf(Role::kEmbeddingNorm, -1);
  for (int layer = 0; layer < static_cast<int>(config.layers); ++layer) AddLayer(config, layer, build);
}

}  // namespace

WeightMode WeightModeOf(std::string_view name) {
  if (name == "f32") return WeightMode::kF32;
  if (name == "bf16") return WeightMode::kBF16;
  QAD_CHECK(name == "as-stored");
  return WeightMode::kAsStored;
}

Layout LayoutFor(FormatId stored) {
  switch (stored) {
    case FormatId::kF32:
      return Layout::kF32;
    case FormatId::kF16:
      return Layout::kF16;
    case FormatId::kBF16:
      return Layout::kBF16Tile;
    case FormatId::kInt8:
      return Layout::kInt8Row;
    case FormatId::kQ8_0:
      return Layout::kInt8Block;
    case FormatId::kQ5_0:
    case FormatId::kQ5_1:
      return Layout::kInt5Block;
    case FormatId::kQ4_0:
    case FormatId::kQ4_1:
      return Layout::kInt4Block;
    case FormatId::kQ2_K:  // its scales of 4 bits serve 16 values each, as those of Q3 and Q6
    case FormatId::kQ3_K:
    case FormatId::kQ6_K:
      return Layout::kInt6Super;
    case FormatId::kQ5_K:
      return Layout::kInt5Super;
    case FormatId::kQ4_K:
      return Layout::kInt4Super;
    case FormatId::kIQ4_NL:
      return Layout::kIq4Block;
    case FormatId::kGptq:
    case FormatId::kAwq:
    case FormatId::kCompressed:
    case FormatId::kNf4:
      break;
  }
  return Layout::kF32;
}

Layout LayoutFor(const StoredAs& stored) {
  if (stored.group == 0) return LayoutFor(stored.format);
  if (!stored.in_order || stored.group % kBlock != 0) return Layout::kF32;
  if (stored.format == FormatId::kNf4) return Layout::kNf4;
  if (stored.bits == 8) return stored.symmetric ? Layout::kInt8Block : Layout::kF32;  // −s·z of 8 bits is no f16
  return Layout::kInt4Zero;
}

uint8_t GroupShiftFor(const StoredAs& stored) {
  constexpr size_t kMost = 2;  // blocks of 128
  size_t shift = 0;
  while (shift < kMost && stored.group % (kBlock << (shift + 1)) == 0) ++shift;
  return static_cast<uint8_t>(shift);
}

Plan MakePlan(const ModelConfig& config, WeightMode mode, const StoredFormatOf& stored_format) {
  Builder build(config, mode, stored_format);
  build.Matrix(Role::kTokenEmbedding, -1, config.vocab, config.hidden);
  if (config.family->traits.learned_positions)
    build.Matrix(Role::kPositionEmbedding, -1, config.max_positions, config.hidden);
  if (config.family->traits.encoder) {
    AddEncoder(config, build);
    return {config, build.Take()};
  }
  for (int layer = 0; layer < static_cast<int>(config.layers); ++layer) AddLayer(config, layer, build);
  build.NormOf(Role::kFinalNorm, -1);
  if (!config.tied_head) build.Matrix(Role::kHead, -1, config.vocab, config.hidden);
  return {config, build.Take()};
}

size_t Plan::parameters() const {
  size_t sum = 0;
  for (const TensorSpec& spec : tensors) sum += spec.elements();
  return sum;
}

size_t Plan::stored_bytes() const {
  size_t sum = 0;
  for (const TensorSpec& spec : tensors) sum += spec.stored_bytes();
  return sum;
}

size_t Plan::weight_bytes() const {
  std::map<std::pair<int, Layout>, std::pair<size_t, size_t>> groups;  // codes, scales
  for (const TensorSpec& spec : tensors) {
    auto& [codes, scales] = groups[{spec.group, spec.layout}];
    codes += spec.code_bytes();
    scales += spec.scale_bytes();
  }
  size_t sum = 0;
  for (const auto& [key, bytes] : groups) sum += AlignUp(bytes.first) + AlignUp(bytes.second);
  return sum;
}

const TensorSpec* Plan::Find(Role role, int layer, bool bias) const {
  for (const TensorSpec& spec : tensors)
    if (spec.role == role && spec.layer == layer && spec.bias == bias) return &spec;
  return nullptr;
}

}  // namespace qad

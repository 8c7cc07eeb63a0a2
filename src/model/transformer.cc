#include "model/transformer.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"
#include "ops/matmul.h"
#include "ops/rows.h"

namespace qad {
Transformer::Transformer(std::shared_ptr<const Weights> weights) : weights_(std::move(weights)) {
  BuildLinears();
  const auto norm = [&](Role role, int layer) {
    norms_.push_back({.kind = config().family->traits.norm,
                      .width = config().hidden,
                      .epsilon = config().norm_eps,
                      .gain = weights_->Vector(role, layer, false),
                      .bias = weights_->Vector(role, layer, true)});
  };
  for (int layer = 0; layer < static_cast<int>(config().layers); ++layer) {
    norm(Role::kAttentionNorm, layer);
    norm(Role::kMlpNorm, layer);
  }
  norm(Role::kFinalNorm, -1);
  // Products with integer weights lose far more than scores in bf16 do.
  const auto any_part = [&](const auto& is) {
    return std::ranges::any_of(linears_, [&](const Linear& linear) { return std::ranges::any_of(linear.parts, is); });
  };
  fine_scores_ = !any_part([](const MatrixView& part) { return IsInteger(part.layout); });
  dense_f32_ = any_part([](const MatrixView& part) { return part.layout == Layout::kF32; });
  token_embedding_ = weights_->Matrix(Role::kTokenEmbedding, -1);
  if (config().family->traits.learned_positions)
    position_embedding_ = weights_->Matrix(Role::kPositionEmbedding, -1);
  else
    rotary_.emplace(config().rope_theta, config().head_dim);
}

const NormWeights& Transformer::NormOf(Role role, size_t layer) const {
  return role == Role::kFinalNorm ? norms_.back() : norms_[2 * layer + (role == Role::kMlpNorm ? 1 : 0)];
}

void Transformer::BuildLinears() {
  const auto stack = [&](std::initializer_list<Role> roles, int layer) {
    Weights::Stack s = weights_->Stacked(roles, layer);
    const size_t index = linears_.size();
    size_t first = 0;
    for (const Role role : roles) {
      const TensorSpec* spec = weights_->plan().Find(role, layer);
      if (spec == nullptr) continue;
      sites_.push_back({.role = role,
                        .layer = layer,
                        .module = HfName(*config().family, role, layer),
                        .linear = index,
                        .first = first,
                        .in = spec->cols,
                        .out = spec->rows});
      first += spec->rows;
    }
    linears_.push_back(
        {.in = s.in, .out = s.out, .parts = std::move(s.parts), .biases = std::move(s.biases), .adapters = {}});
  };
  for (int layer = 0; layer < static_cast<int>(config().layers); ++layer) {
    stack({Role::kQkv, Role::kQ, Role::kK, Role::kV}, layer);
    stack({Role::kO}, layer);
    stack({Role::kGateUp, Role::kGate, Role::kUp}, layer);
    stack({Role::kDown}, layer);
  }
  const Role head = config().tied_head ? Role::kTokenEmbedding : Role::kHead;
  head_ = {.in = config().hidden,
           .out = config().vocab,
           .parts = {weights_->Matrix(head, -1)},
           .biases = {nullptr},
           .adapters = {}};
}

void Transformer::ClearAdapters() {
  for (Linear& linear : linears_) linear.adapters.clear();
}

void Transformer::Attach(const AdapterSite& site, const LowRank& adapter) {
  LowRank placed = adapter;
  placed.first = site.first;
  placed.outputs = site.out;
  linears_[site.linear].adapters.push_back(placed);
}

void Transformer::EmbedToken(TokenId token, size_t position, float* x) const {
  QAD_CHECK(token >= 0 && static_cast<size_t>(token) < config().vocab);
  DecodeRow(token_embedding_, static_cast<size_t>(token), x);
  if (!config().family->traits.learned_positions) return;
  QAD_CHECK(position < config().max_positions);
  static thread_local std::vector<float> offset;
  offset.resize(config().hidden);
  DecodeRow(position_embedding_, position, offset.data());
  Add(offset.data(), x, config().hidden);
}

size_t Transformer::WorkspaceBytes(size_t rows) const { return qad::WorkspaceBytes(config(), rows); }

Transformer::Buffers Transformer::Place(size_t rows) {
  const ModelConfig& c = config();
  const size_t padded = PaddedRows(rows);
  const size_t floats = WorkspaceBytes(rows) / sizeof(float);
  if (workspace_.size() < floats) workspace_.assign(floats, 0.0f);
  Buffers b{};
  b.x = workspace_.data();
  b.normed = b.x + padded * c.hidden;
  b.qkv = b.normed + padded * c.hidden;
  b.attention = b.qkv + padded * c.qkv_outputs();
  b.up = b.qkv;
  return b;
}

// Some more than there are where each number of rows costs time when it first comes.
size_t Transformer::RowsToMultiply(Context& context, size_t rows) const {
  const bool own = (context.own_bf16() && !dense_f32_) || context.rows == RowsAre::kOfAnswers;
  return own || !context.matmul().compiles_shapes() ? rows : PaddedRows(rows);
}

void Transformer::Forward(Context& context, std::span<const Segment> segments, KvCache& cache,
                          std::span<const size_t> wanted, float* logits) {
  Run(context, segments, cache);
  Logits(context, wanted, logits);
}

void Transformer::Run(Context& context, std::span<const Segment> segments, KvCache& cache) {
  const ModelConfig& c = config();
  positions_.clear();
  size_t longest = 0;
  for (const Segment& segment : segments) {
    for (size_t t = 0; t < segment.tokens.size(); ++t) positions_.push_back(segment.start + t);
    longest = std::max(longest, segment.start + segment.tokens.size());
  }
  const size_t rows = positions_.size();
  QAD_CHECK(longest <= cache.capacity());
  if (rows == 0) return;
  if (rotary_) rotary_->Extend(longest);
  const Buffers b = Place(rows);
  const size_t padded = RowsToMultiply(context, rows), q_width = c.heads * c.head_dim,
               kv_width = c.kv_heads * c.head_dim;
  {
    const ScopedTimer timer(context, Timed::kEmbed);
    float* x = b.x;
    for (const Segment& segment : segments)
      for (size_t t = 0; t < segment.tokens.size(); ++t, x += c.hidden)
        EmbedToken(segment.tokens[t], segment.start + t, x);
  }
  items_.resize(segments.size());
  for (size_t layer = 0; layer < c.layers; ++layer) {
    NormForward(context, NormOf(Role::kAttentionNorm, layer), b.x, rows, b.normed);
    LinearForward(context, LinearOf(layer, kQkv), b.normed, padded, c.hidden, b.qkv, c.qkv_outputs(), false);
    if (rotary_) RotaryForward(context, *rotary_, positions_, c.heads + c.kv_heads, b.qkv, c.qkv_outputs());
    const float* row = b.qkv;
    float* out = b.attention;
    for (size_t s = 0; s < segments.size(); ++s) {
      const auto& [slot, start, tokens] = segments[s];
      items_[s] = {.q = row,
                   .ldq = c.qkv_outputs(),
                   .count = tokens.size(),
                   .start = start,
                   .k = cache.Keys(layer, slot),
                   .v = cache.Values(layer, slot),
                   .out = out,
                   .ldo = q_width};
      const ScopedTimer timer(context, Timed::kCache);
      for (size_t t = 0; t < tokens.size(); ++t, row += c.qkv_outputs(), out += q_width)
        cache.Write(layer, slot, start + t, row + q_width, row + q_width + kv_width);
    }
    AttentionForward(context, {c.heads, c.kv_heads, c.head_dim, fine_scores_}, items_);
    LinearForward(context, LinearOf(layer, kOutput), b.attention, padded, q_width, b.x, c.hidden, true);
    NormForward(context, NormOf(Role::kMlpNorm, layer), b.x, rows, b.normed);
    LinearForward(context, LinearOf(layer, kUp), b.normed, padded, c.hidden, b.up, up_width(), false);
    ActivationForward(context, c.family->traits.activation, b.up, rows, c.intermediate, b.up, up_width());
    LinearForward(context, LinearOf(layer, kDown), b.up, padded, up_width(), b.x, c.hidden, true);
  }
  rows_ = rows;
}

void Transformer::Logits(Context& context, std::span<const size_t> wanted, float* logits) {
  if (wanted.empty()) return;
  QAD_CHECK(wanted.size() <= rows_);
  const size_t hidden = config().hidden;
  const Buffers b = Place(rows_);
  const ScopedTimer timer(context, Timed::kHead);
  QAD_CHECK(std::ranges::max(wanted) < rows_);
  std::vector<float> chosen(wanted.size() * hidden);
  GatherRows(b.x, wanted, hidden, chosen.data());
  NormForward(context, NormOf(Role::kFinalNorm, kNoLayer), chosen.data(), wanted.size(), b.normed);
  LinearForward(context, head_, b.normed, wanted.size(), hidden, logits, config().vocab, false);
}

std::vector<double> Transformer::LogProbabilities(Context& context, std::span<const size_t> wanted,
                                                  std::span<const TokenId> targets) {
  QAD_CHECK(wanted.size() == targets.size());
  const size_t vocab = config().vocab;
  const size_t chunk =
      std::clamp((size_t{4} << 20) / vocab, size_t{16}, size_t{64});  // rows of logits that exist at once
  std::vector<double> out;
  for (size_t begin = 0; begin < wanted.size(); begin += chunk) {
    const size_t count = std::min(chunk, wanted.size() - begin);
    float* logits = context.Scratch(Context::Slot::kLogits, chunk * vocab);
    Logits(context, wanted.subspan(begin, count), logits);
    for (size_t i = 0; i < count; ++i) {
      const float* row = logits + i * vocab;
      const auto target = static_cast<size_t>(targets[begin + i]);
      QAD_CHECK(target < vocab);
      out.push_back(static_cast<double>(row[target]) - LogSumExp(row, vocab));
    }
  }
  return out;
}

}  // namespace qad

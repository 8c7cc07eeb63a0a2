#include "model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"

namespace qad {
namespace {

constexpr size_t kMinParallelValues = 1 << 13;  // values of a row-wise operation that are worth a parallel region

}  // namespace

Transformer::Transformer(std::shared_ptr<const Weights> weights) : weights_(std::move(weights)) {
  BuildLinears();
  const auto norm = [&](Role role, int layer) {
    norms_.push_back({weights_->Vector(role, layer, false), weights_->Vector(role, layer, true)});
  };
  for (int layer = 0; layer < static_cast<int>(config().layers); ++layer) {
    norm(Role::kAttentionNorm, layer);
    norm(Role::kMlpNorm, layer);
  }
  norm(Role::kFinalNorm, -1);
  token_embedding_ = weights_->Matrix(Role::kTokenEmbedding, -1);
  if (config().family->traits.learned_positions) position_embedding_ = weights_->Matrix(Role::kPositionEmbedding, -1);
}

const Transformer::NormWeights& Transformer::NormOf(Role role, size_t layer) const {
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

// Angles as the reference computes them: f32 inverse frequencies times the position, in f32.
void Transformer::ExtendRotary(size_t positions) {
  if (config().family->traits.learned_positions) return;
  const size_t half = config().head_dim / 2;
  const size_t have = cosine_.size() / half;
  if (positions <= have) return;
  cosine_.resize(positions * half);
  sine_.resize(positions * half);
  for (size_t i = 0; i < half; ++i) {
    const auto inverse =
        static_cast<float>(1.0 / std::pow(static_cast<double>(config().rope_theta),
                                          2.0 * static_cast<double>(i) / static_cast<double>(config().head_dim)));
    for (size_t p = have; p < positions; ++p) {
      const float angle = static_cast<float>(p) * inverse;
      cosine_[p * half + i] = std::cos(angle);
      sine_[p * half + i] = std::sin(angle);
    }
  }
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

// stats: two floats a row (inverse rms; or mean and inverse deviation), may be null.
void Transformer::Norm(Context& context, Role role, size_t layer, const float* x, size_t rows, float* out,
                       float* stats) const {
  const ScopedTimer timer(context, Timed::kNorm);
  const size_t n = config().hidden;
  const auto [gain, bias] = NormOf(role, layer);
  const bool rms = config().family->traits.norm == qad::Norm::kRms;
#pragma omp parallel for schedule(static) if (rows * n >= kMinParallelValues)
  for (int64_t i = 0; i < static_cast<int64_t>(rows); ++i) {
    const size_t r = static_cast<size_t>(i);
    LayerNormStats s{};
    if (rms)
      s.inverse_deviation = RmsNorm(x + r * n, gain, config().norm_eps, out + r * n, n);
    else
      s = LayerNorm(x + r * n, gain, bias, config().norm_eps, out + r * n, n);
    if (stats != nullptr) {
      stats[2 * r] = s.mean;
      stats[2 * r + 1] = s.inverse_deviation;
    }
  }
}

void Transformer::Activate(Context& context, const float* up, size_t rows, float* out) const {
  const ScopedTimer timer(context, Timed::kActivation);
  const size_t n = config().intermediate, width = up_width();
  const bool gated = config().family->traits.activation == Activation::kSwiGlu;
#pragma omp parallel for schedule(static) if (rows * n >= kMinParallelValues)
  for (int64_t i = 0; i < static_cast<int64_t>(rows); ++i) {
    const size_t r = static_cast<size_t>(i);
    if (gated)
      SwiGlu(up + r * width, up + r * width + n, out + r * n, n);
    else
      GeluTanh(up + r * width, out + r * n, n);
  }
}

// Queries and keys of packed rows qkv (rows, (heads + 2 kv_heads)·head_dim), in place.
void Transformer::RotateRows(Context& context, float* qkv, std::span<const size_t> positions, float sign) const {
  if (config().family->traits.learned_positions) return;
  const ScopedTimer timer(context, Timed::kRope);
  const size_t rows = positions.size();
  const size_t dim = config().head_dim, half = dim / 2, width = config().qkv_outputs();
#pragma omp parallel for schedule(static) if (rows * width >= kMinParallelValues)
  for (int64_t i = 0; i < static_cast<int64_t>(rows); ++i) {
    const size_t r = static_cast<size_t>(i), p = positions[r];
    for (size_t head = 0; head < config().heads + config().kv_heads; ++head)
      Rotate(qkv + r * width + head * dim, cosine_.data() + p * half, sine_.data() + p * half, sign, dim);
  }
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
  b.up = b.attention + padded * c.heads * c.head_dim;
  b.activated = b.up + padded * up_width();
  return b;
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
  ExtendRotary(longest);
  const Buffers b = Place(rows);
  const size_t padded = PaddedRows(rows), q_width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  {
    const ScopedTimer timer(context, Timed::kEmbed);
    float* x = b.x;
    for (const Segment& segment : segments)
      for (size_t t = 0; t < segment.tokens.size(); ++t, x += c.hidden)
        EmbedToken(segment.tokens[t], segment.start + t, x);
  }
  items_.resize(segments.size());
  for (size_t layer = 0; layer < c.layers; ++layer) {
    Norm(context, Role::kAttentionNorm, layer, b.x, rows, b.normed);
    LinearForward(context, LinearOf(layer, kQkv), b.normed, padded, c.hidden, b.qkv, c.qkv_outputs(), false);
    RotateRows(context, b.qkv, positions_, 1.0f);
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
      for (size_t t = 0; t < tokens.size(); ++t, row += c.qkv_outputs(), out += q_width)
        cache.Write(layer, slot, start + t, row + q_width, row + q_width + kv_width);
    }
    AttentionForward(context, {c.heads, c.kv_heads, c.head_dim}, items_);
    LinearForward(context, LinearOf(layer, kOutput), b.attention, padded, q_width, b.x, c.hidden, true);
    Norm(context, Role::kMlpNorm, layer, b.x, rows, b.normed);
    LinearForward(context, LinearOf(layer, kUp), b.normed, padded, c.hidden, b.up, up_width(), false);
    Activate(context, b.up, rows, b.activated);
    LinearForward(context, LinearOf(layer, kDown), b.activated, padded, c.intermediate, b.x, c.hidden, true);
  }
  rows_ = rows;
}

void Transformer::Logits(Context& context, std::span<const size_t> wanted, float* logits) {
  if (wanted.empty()) return;
  QAD_CHECK(wanted.size() <= rows_);
  const size_t hidden = config().hidden;
  const Buffers b = Place(rows_);
  const ScopedTimer timer(context, Timed::kHead);
  std::vector<float> chosen(wanted.size() * hidden);
  for (size_t i = 0; i < wanted.size(); ++i) {
    QAD_CHECK(wanted[i] < rows_);
    std::memcpy(chosen.data() + i * hidden, b.x + wanted[i] * hidden, hidden * sizeof(float));
  }
  Norm(context, Role::kFinalNorm, kNoLayer, chosen.data(), wanted.size(), b.normed);
  LinearForward(context, head_, b.normed, wanted.size(), hidden, logits, config().vocab, false);
}

std::vector<double> Transformer::LogProbabilities(Context& context, std::span<const size_t> wanted,
                                                  std::span<const TokenId> targets, std::vector<bool>* greedy) {
  QAD_CHECK(wanted.size() == targets.size());
  constexpr size_t kChunk = 64;  // rows of logits that exist at once
  const size_t vocab = config().vocab;
  std::vector<double> out;
  for (size_t begin = 0; begin < wanted.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, wanted.size() - begin);
    float* logits = context.Scratch(Context::Slot::kLogits, kChunk * vocab);
    Logits(context, wanted.subspan(begin, count), logits);
    for (size_t i = 0; i < count; ++i) {
      const float* row = logits + i * vocab;
      const auto target = static_cast<size_t>(targets[begin + i]);
      QAD_CHECK(target < vocab);
      out.push_back(static_cast<double>(row[target]) - LogSumExp(row, vocab));
      if (greedy != nullptr) greedy->push_back(ArgMax(row, vocab) == target);
    }
  }
  return out;
}

}  // namespace qad

#include "model/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"

namespace qad {
namespace {

constexpr size_t kMinParallelValues = 1 << 13;

// The old values are not carried over: both would be in memory at once.
void Grow(std::vector<float>& buffer, size_t floats) {
  if (buffer.size() >= floats) return;
  std::vector<float>().swap(buffer);
  buffer.resize(floats);
}

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

size_t PackedBatch::supervised() const {
  return labels.size() - static_cast<size_t>(std::count(labels.begin(), labels.end(), kNotSupervised));
}

size_t TrainingPass::Bytes(size_t tokens) const {
  size_t ranks = 0;
  for (const Linear& linear : model_.linears_) ranks += LowRankTapeFloats(linear, 1);
  return TrainingBytes(model_.config(), tokens, ranks);
}

size_t TrainingPass::allocated_bytes() const {
  return (tape_.size() + buffers_.size() + dx_.capacity()) * sizeof(float);
}

void TrainingPass::Place(size_t rows) {
  const ModelConfig& c = model_.config();
  const size_t widest = std::max(model_.up_width(), c.qkv_outputs());
  const size_t narrow = std::max(c.hidden, c.intermediate);
  size_t floats = c.layers * TapeLayerFloats(c, rows) + rows * c.hidden;
  for (const Linear& linear : model_.linears_) floats += LowRankTapeFloats(linear, rows);
  Grow(tape_, floats);
  const size_t buffer_floats = TrainingBufferFloats(c, rows);
  Grow(buffers_, buffer_floats);
  dx_.assign(rows * c.hidden, 0.0f);
  float* at = tape_.data();
  const auto take = [&](size_t width) { return std::exchange(at, at + rows * width); };
  layers_.resize(c.layers);
  for (size_t l = 0; l < c.layers; ++l) {
    Layer& layer = layers_[l];
    layer.x = take(c.hidden);
    layer.mid = take(c.hidden);
    layer.stats1 = take(2);
    layer.stats2 = take(2);
    layer.qkv = take(c.qkv_outputs());
    layer.log_sum_exp = take(c.heads);
    layer.attention = take(c.heads * c.head_dim);
    layer.up = take(model_.up_width());
    for (size_t kind = 0; kind < Transformer::kKinds; ++kind)
      layer.low_rank[kind] =
          std::exchange(at, at + LowRankTapeFloats(model_.LinearOf(l, static_cast<Transformer::Kind>(kind)), rows));
  }
  final_ = take(c.hidden);
  at = buffers_.data();
  wide_ = take(widest);
  d_wide_ = take(widest);
  normed_ = take(narrow);
  d_normed_ = take(narrow);
  d_attention_ = take(c.heads * c.head_dim);
}

Dropout TrainingPass::DropoutOf(const Options& options, size_t layer, size_t kind) const {
  return {.p = options.dropout, .seed = options.seed, .stream = (options.step * layers_.size() + layer) * 4 + kind};
}

void TrainingPass::ForwardLayer(Context& context, size_t index, const Options& options) {
  const ModelConfig& c = model_.config();
  const Layer& t = layers_[index];
  const size_t q_width = c.heads * c.head_dim;
  const auto linear = [&](Transformer::Kind kind, const float* x, size_t width, float* y, size_t out, bool accumulate) {
    LinearForward(context, model_.LinearOf(index, kind), x, rows_, width, y, out, accumulate,
                  DropoutOf(options, index, kind), t.low_rank[kind]);
  };
  model_.Norm(context, Role::kAttentionNorm, index, t.x, rows_, normed_, t.stats1);
  linear(Transformer::kQkv, normed_, c.hidden, t.qkv, c.qkv_outputs(), false);
  model_.RotateRows(context, t.qkv, positions_, 1.0f);
  size_t first = 0;
  for (AttentionItem& item : items_) {
    const float* row = t.qkv + first * c.qkv_outputs();
    const auto view = [&](size_t offset) {
      return KvView{.data = row + offset, .f16 = false, .head_stride = c.head_dim, .row_stride = c.qkv_outputs()};
    };
    item = {.q = row,
            .ldq = c.qkv_outputs(),
            .count = item.count,
            .start = 0,
            .k = view(q_width),
            .v = view(q_width + c.kv_heads * c.head_dim),
            .out = t.attention + first * q_width,
            .ldo = q_width,
            .log_sum_exp = t.log_sum_exp + first * c.heads};
    first += item.count;
  }
  AttentionForward(context, {c.heads, c.kv_heads, c.head_dim}, items_);
  std::memcpy(t.mid, t.x, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kOutput, t.attention, q_width, t.mid, c.hidden, true);
  model_.Norm(context, Role::kMlpNorm, index, t.mid, rows_, normed_, t.stats2);
  linear(Transformer::kUp, normed_, c.hidden, t.up, model_.up_width(), false);
  model_.Activate(context, t.up, rows_, normed_);
  float* next = index + 1 < c.layers ? layers_[index + 1].x : final_;
  std::memcpy(next, t.mid, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kDown, normed_, c.intermediate, next, c.hidden, true);
}

// dx_ += gradient through the norm.
void TrainingPass::NormBackward(Context& context, Role role, size_t layer, const float* x, const float* stats,
                                const float* dy) {
  const ScopedTimer timer(context, Timed::kNorm);
  const size_t n = model_.config().hidden;
  const float* gain = model_.NormOf(role, layer).gain;
  const bool rms = model_.config().family->traits.norm == Norm::kRms;
#pragma omp parallel for schedule(static) if (rows_ * n >= kMinParallelValues)
  for (int64_t i = 0; i < static_cast<int64_t>(rows_); ++i) {
    const size_t r = static_cast<size_t>(i);
    if (rms)
      RmsNormBackward(x + r * n, gain, stats[2 * r + 1], dy + r * n, dx_.data() + r * n, n);
    else
      LayerNormBackward(x + r * n, gain, {stats[2 * r], stats[2 * r + 1]}, dy + r * n, dx_.data() + r * n, n);
  }
}

// dx_ holds d loss / d (output of the layer) and leaves as d loss / d (its input).
void TrainingPass::BackwardLayer(Context& context, size_t index, const Options& options) {
  const ModelConfig& c = model_.config();
  const Layer& t = layers_[index];
  const size_t q_width = c.heads * c.head_dim, up_width = model_.up_width(), n = c.intermediate;
  const auto linear = [&](Transformer::Kind kind, const float* x, size_t in, const float* dy, size_t out, float* dx) {
    std::fill_n(dx, rows_ * in, 0.0f);
    LinearBackward(context, model_.LinearOf(index, kind), x, in, t.low_rank[kind], dy, rows_, out, dx, in,
                   DropoutOf(options, index, kind));
  };
  model_.Activate(context, t.up, rows_, normed_);
  linear(Transformer::kDown, normed_, n, dx_.data(), c.hidden, d_normed_);
  {
    const ScopedTimer timer(context, Timed::kActivation);
    const bool gated = c.family->traits.activation == Activation::kSwiGlu;
#pragma omp parallel for schedule(static) if (rows_ * n >= kMinParallelValues)
    for (int64_t i = 0; i < static_cast<int64_t>(rows_); ++i) {
      const size_t r = static_cast<size_t>(i);
      const float* up = t.up + r * up_width;
      float* d_up = d_wide_ + r * up_width;
      if (gated)
        SwiGluBackward(up, up + n, d_normed_ + r * n, d_up, d_up + n, n);
      else
        GeluTanhBackward(up, d_normed_ + r * n, d_up, n);
    }
  }
  model_.Norm(context, Role::kMlpNorm, index, t.mid, rows_, normed_);
  linear(Transformer::kUp, normed_, c.hidden, d_wide_, up_width, d_normed_);
  NormBackward(context, Role::kMlpNorm, index, t.mid, t.stats2, d_normed_);

  linear(Transformer::kOutput, t.attention, q_width, dx_.data(), c.hidden, d_attention_);
  std::vector<AttentionGradients> gradients(items_.size());
  size_t first = 0;
  for (size_t s = 0; s < items_.size(); ++s) {
    AttentionItem& item = items_[s];
    const float* row = t.qkv + first * c.qkv_outputs();
    item.q = row;
    item.k.data = row + q_width;
    item.v.data = row + q_width + c.kv_heads * c.head_dim;
    item.out = t.attention + first * q_width;
    item.log_sum_exp = t.log_sum_exp + first * c.heads;
    float* d_row = d_wide_ + first * c.qkv_outputs();
    gradients[s] = {.d_out = d_attention_ + first * q_width,
                    .ld_out = q_width,
                    .dq = d_row,
                    .dk = d_row + q_width,
                    .dv = d_row + q_width + c.kv_heads * c.head_dim,
                    .ld_gradient = c.qkv_outputs()};
    first += item.count;
  }
  AttentionBackward(context, {c.heads, c.kv_heads, c.head_dim}, items_, gradients);
  model_.RotateRows(context, d_wide_, positions_, -1.0f);
  model_.Norm(context, Role::kAttentionNorm, index, t.x, rows_, normed_);
  linear(Transformer::kQkv, normed_, c.hidden, d_wide_, c.qkv_outputs(), d_normed_);
  NormBackward(context, Role::kAttentionNorm, index, t.x, t.stats1, d_normed_);
}

// Cross-entropy over supervised rows. Softmax minus one-hot replaces the logits in place and goes back through the head
// and the final norm into dx_.
double TrainingPass::Loss(Context& context, const PackedBatch& batch, const Options& options) {
  const ScopedTimer timer(context, Timed::kLoss);
  const size_t hidden = model_.config().hidden, vocab = model_.config().vocab;
  std::vector<size_t> rows;
  for (size_t t = 0; t < batch.labels.size(); ++t)
    if (batch.labels[t] != kNotSupervised) rows.push_back(t);
  double total = 0;
  std::vector<float> x(kLossRows * hidden), normed(x.size()), d_normed(x.size()), stats(2 * kLossRows);
  std::vector<double> losses(kLossRows);
  for (size_t begin = 0; begin < rows.size(); begin += kLossRows) {
    const size_t count = std::min(kLossRows, rows.size() - begin), padded = RoundUp(count, kTrainingRowMultiple);
    std::fill(x.begin(), x.end(), 0.0f);
    for (size_t i = 0; i < count; ++i)
      std::memcpy(x.data() + i * hidden, final_ + rows[begin + i] * hidden, hidden * sizeof(float));
    model_.Norm(context, Role::kFinalNorm, Transformer::kNoLayer, x.data(), padded, normed.data(), stats.data());
    float* logits = context.Scratch(Context::Slot::kLogits, kLossRows * vocab);
    LinearForward(context, model_.head_, normed.data(), padded, hidden, logits, vocab, false);
#pragma omp parallel for schedule(static) if (padded * vocab >= kMinParallelValues)
    for (int64_t i = 0; i < static_cast<int64_t>(padded); ++i) {
      const size_t r = static_cast<size_t>(i);
      float* row = logits + r * vocab;
      if (r >= count) {
        std::fill_n(row, vocab, 0.0f);
        continue;
      }
      const auto target = static_cast<size_t>(batch.labels[rows[begin + r]]);
      const float at_target = row[target];
      losses[r] = static_cast<double>(Softmax(row, 1.0f, row, vocab)) - at_target;
      row[target] -= 1.0f;
    }
    for (size_t i = 0; i < count; ++i) total += losses[i];
    if (!options.backward) continue;
    std::fill(d_normed.begin(), d_normed.end(), 0.0f);
    LinearBackward(context, model_.head_, normed.data(), hidden, nullptr, logits, padded, vocab, d_normed.data(),
                   hidden);
    const float* gain = model_.NormOf(Role::kFinalNorm, Transformer::kNoLayer).gain;
    for (size_t i = 0; i < count; ++i) {
      float* dx = dx_.data() + rows[begin + i] * hidden;
      float* dy = d_normed.data() + i * hidden;
      for (size_t k = 0; k < hidden; ++k) dy[k] *= static_cast<float>(options.loss_weight);
      if (model_.config().family->traits.norm == Norm::kRms)
        RmsNormBackward(x.data() + i * hidden, gain, stats[2 * i + 1], dy, dx, hidden);
      else
        LayerNormBackward(x.data() + i * hidden, gain, {stats[2 * i], stats[2 * i + 1]}, dy, dx, hidden);
    }
  }
  return total;
}

double TrainingPass::Run(Context& context, const PackedBatch& batch, const Options& options) {
  QAD_CHECK(!batch.tokens.empty() && batch.tokens.size() == batch.labels.size());
  rows_ = RoundUp(batch.tokens.size(), kTrainingRowMultiple);
  std::vector<size_t> lengths = batch.lengths;
  if (rows_ > batch.tokens.size()) lengths.push_back(rows_ - batch.tokens.size());
  positions_.clear();
  items_.assign(lengths.size(), {});
  for (size_t s = 0; s < lengths.size(); ++s) {
    items_[s].count = lengths[s];
    for (size_t p = 0; p < lengths[s]; ++p) positions_.push_back(p);
  }
  QAD_CHECK(positions_.size() == rows_);
  model_.ExtendRotary(*std::max_element(lengths.begin(), lengths.end()));
  Place(rows_);
  for (size_t row = 0; row < rows_; ++row)
    model_.EmbedToken(row < batch.tokens.size() ? batch.tokens[row] : 0, positions_[row],
                      layers_[0].x + row * model_.config().hidden);
  for (size_t layer = 0; layer < layers_.size(); ++layer) ForwardLayer(context, layer, options);
  const double loss = Loss(context, batch, options);
  if (options.backward && std::isfinite(loss))
    for (size_t layer = layers_.size(); layer-- > 0;) BackwardLayer(context, layer, options);
  return loss;
}

}  // namespace qad

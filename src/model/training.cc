#include "model/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"
#include "ops/loss.h"
#include "ops/rows.h"

namespace qad {
namespace {

// The old values are not carried over: both would be in memory at once.
void Grow(std::vector<float>& buffer, size_t floats) {
  if (buffer.size() >= floats) return;
  std::vector<float>().swap(buffer);
  buffer.resize(floats);
}

}  // namespace

size_t PackedBatch::supervised() const {
  return labels.size() - static_cast<size_t>(std::count(labels.begin(), labels.end(), kNotSupervised));
}

size_t PackedBatch::before(size_t segment) const {
  const bool whole = continues.empty() || continues[segment] == kNoSegment;
  return whole ? 0 : lengths[continues[segment]];
}

size_t PackedBatch::sequence_tokens() const {
  size_t sum = tokens.size();
  std::vector<bool> counted(lengths.size());  // with the first that continues it
  for (size_t s = 0; s < lengths.size(); ++s) {
    if (before(s) == 0) continue;
    if (counted[continues[s]]) sum += before(s);
    counted[continues[s]] = true;
  }
  return sum;
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

void TrainingPass::CutIntoItems(const PackedBatch& batch) {
  positions_.clear();
  segments_.clear();
  items_.clear();
  shared_rows_ = 0;
  const auto add = [&](size_t before, size_t start, size_t count) {
    segments_.push_back({.first = positions_.size(), .before = before});
    AttentionItem& item = items_.emplace_back();
    item.start = start;
    item.count = count;
    if (start > 0) shared_rows_ += start + count;
    for (size_t p = 0; p < count; ++p) positions_.push_back(start + p);
  };
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    const size_t start = batch.before(s);
    add(start > 0 ? segments_[batch.continues[s]].first : 0, start, batch.lengths[s]);
  }
  QAD_CHECK(positions_.size() == batch.tokens.size());
  if (rows_ > batch.tokens.size()) add(0, 0, rows_ - batch.tokens.size());
}

// Where a layer's attention finds its operands. Items that continue another get its keys and values and their own
// together.
void TrainingPass::PlaceItems(Context& context, const Layer& t) {
  const ModelConfig& c = model_.config();
  const size_t width = c.qkv_outputs(), q_width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  float* shared = context.Scratch(Context::Slot::kSharedKeys, 2 * shared_rows_ * 2 * kv_width);
  const auto copy = [&](size_t first, size_t count) {
    for (size_t row = first; row < first + count; ++row, shared += 2 * kv_width)
      std::memcpy(shared, t.qkv + row * width + q_width, 2 * kv_width * sizeof(float));
  };
  for (size_t s = 0; s < items_.size(); ++s) {
    AttentionItem& item = items_[s];
    const size_t first = segments_[s].first;
    const float* keys = t.qkv + first * width + q_width;
    size_t stride = width;
    if (item.start > 0) {
      keys = shared;
      stride = 2 * kv_width;
      copy(segments_[s].before, item.start);
      copy(first, item.count);
    }
    item.q = t.qkv + first * width;
    item.ldq = width;
    item.k = KvView::Packed(keys, c.head_dim, stride);
    item.v = KvView::Packed(keys + kv_width, c.head_dim, stride);
    item.out = t.attention + first * q_width;
    item.ldo = q_width;
    item.log_sum_exp = t.log_sum_exp + first * c.heads;
  }
}

// From d_attention_ to the gradients of q, k and v in d_wide_.
void TrainingPass::AttendBackward(Context& context) {
  const ModelConfig& c = model_.config();
  const size_t width = c.qkv_outputs(), q_width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  float* shared = context.Scratch(Context::Slot::kSharedKeys, 2 * shared_rows_ * 2 * kv_width);
  shared += shared_rows_ * 2 * kv_width;  // behind the keys themselves
  std::vector<AttentionGradients> gradients;
  for (size_t s = 0; s < items_.size(); ++s) {
    const bool continues = items_[s].start > 0;
    float* d_row = d_wide_ + segments_[s].first * width;
    float* dk = continues ? shared : d_row + q_width;
    gradients.push_back({.d_out = d_attention_ + segments_[s].first * q_width,
                         .ld_out = q_width,
                         .dq = d_row,
                         .ld_q = width,
                         .dk = dk,
                         .dv = dk + kv_width,
                         .ld_kv = continues ? 2 * kv_width : width});
    if (continues) shared += (items_[s].start + items_[s].count) * 2 * kv_width;
  }
  AttentionBackward(context, {c.heads, c.kv_heads, c.head_dim}, items_, gradients);
  for (size_t s = 0; s < items_.size(); ++s) {
    if (items_[s].start == 0) continue;
    const float* from = gradients[s].dk;
    float* to = d_wide_ + segments_[s].before * width + q_width;
    for (size_t row = 0; row < items_[s].start; ++row, from += 2 * kv_width, to += width) Add(from, to, 2 * kv_width);
    to = d_wide_ + segments_[s].first * width + q_width;
    for (size_t row = 0; row < items_[s].count; ++row, from += 2 * kv_width, to += width)
      std::memcpy(to, from, 2 * kv_width * sizeof(float));
  }
}

void TrainingPass::ForwardLayer(Context& context, size_t index, const Options& options) {
  const ModelConfig& c = model_.config();
  const Layer& t = layers_[index];
  const size_t q_width = c.heads * c.head_dim;
  const auto linear = [&](Transformer::Kind kind, const float* x, size_t width, float* y, size_t out, bool accumulate) {
    LinearForward(context, model_.LinearOf(index, kind), x, rows_, width, y, out, accumulate,
                  DropoutOf(options, index, kind), t.low_rank[kind]);
  };
  NormForward(context, model_.NormOf(Role::kAttentionNorm, index), t.x, rows_, normed_, t.stats1);
  linear(Transformer::kQkv, normed_, c.hidden, t.qkv, c.qkv_outputs(), false);
  if (model_.rotary_) RotaryForward(context, *model_.rotary_, positions_, c.heads + c.kv_heads, t.qkv, c.qkv_outputs());
  PlaceItems(context, t);
  AttentionForward(context, {c.heads, c.kv_heads, c.head_dim}, items_);
  std::memcpy(t.mid, t.x, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kOutput, t.attention, q_width, t.mid, c.hidden, true);
  NormForward(context, model_.NormOf(Role::kMlpNorm, index), t.mid, rows_, normed_, t.stats2);
  linear(Transformer::kUp, normed_, c.hidden, t.up, model_.up_width(), false);
  ActivationForward(context, c.family->traits.activation, t.up, rows_, c.intermediate, normed_);
  float* next = index + 1 < c.layers ? layers_[index + 1].x : final_;
  std::memcpy(next, t.mid, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kDown, normed_, c.intermediate, next, c.hidden, true);
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
  ActivationForward(context, c.family->traits.activation, t.up, rows_, c.intermediate, normed_);
  linear(Transformer::kDown, normed_, n, dx_.data(), c.hidden, d_normed_);
  ActivationBackward(context, c.family->traits.activation, t.up, d_normed_, rows_, n, d_wide_);
  const NormWeights& mlp_norm = model_.NormOf(Role::kMlpNorm, index);
  NormForward(context, mlp_norm, t.mid, rows_, normed_);
  linear(Transformer::kUp, normed_, c.hidden, d_wide_, up_width, d_normed_);
  NormBackward(context, mlp_norm, t.mid, t.stats2, d_normed_, rows_, dx_.data());

  linear(Transformer::kOutput, t.attention, q_width, dx_.data(), c.hidden, d_attention_);
  PlaceItems(context, t);
  AttendBackward(context);
  if (model_.rotary_)
    RotaryBackward(context, *model_.rotary_, positions_, c.heads + c.kv_heads, d_wide_, c.qkv_outputs());
  const NormWeights& attention_norm = model_.NormOf(Role::kAttentionNorm, index);
  NormForward(context, attention_norm, t.x, rows_, normed_);
  linear(Transformer::kQkv, normed_, c.hidden, d_wide_, c.qkv_outputs(), d_normed_);
  NormBackward(context, attention_norm, t.x, t.stats1, d_normed_, rows_, dx_.data());
}

// Cross-entropy over supervised rows, a chunk at a time. Its gradient takes the logits' place and goes back through the
// head and the final norm into dx_.
double TrainingPass::Loss(Context& context, const PackedBatch& batch, const Options& options) {
  const ScopedTimer timer(context, Timed::kLoss);
  const size_t hidden = model_.config().hidden, vocab = model_.config().vocab;
  const NormWeights& norm = model_.NormOf(Role::kFinalNorm, Transformer::kNoLayer);
  std::vector<size_t> rows;
  std::vector<TokenId> targets;
  for (size_t t = 0; t < batch.labels.size(); ++t) {
    if (batch.labels[t] == kNotSupervised) continue;
    rows.push_back(t);
    targets.push_back(batch.labels[t]);
  }
  std::vector<float> x(kLossRows * hidden), normed(x.size()), d_normed(x.size()), stats(kNormStats * kLossRows);
  std::vector<double> losses(rows.size());
  for (size_t begin = 0; begin < rows.size(); begin += kLossRows) {
    const size_t count = std::min(kLossRows, rows.size() - begin), padded = TrainingRows(count);
    const std::span<const size_t> chunk = std::span(rows).subspan(begin, count);
    std::fill(x.begin(), x.end(), 0.0f);
    GatherRows(final_, chunk, hidden, x.data());
    NormForward(context, norm, x.data(), padded, normed.data(), stats.data());
    float* logits = context.Scratch(Context::Slot::kLogits, kLossRows * vocab);
    LinearForward(context, model_.head_, normed.data(), padded, hidden, logits, vocab, false);
    CrossEntropy(logits, padded, vocab, std::span(targets).subspan(begin, count), losses.data() + begin);
    if (!options.backward) continue;
    std::fill(d_normed.begin(), d_normed.end(), 0.0f);
    LinearBackward(context, model_.head_, normed.data(), hidden, nullptr, logits, padded, vocab, d_normed.data(),
                   hidden);
    Scale(d_normed.data(), static_cast<float>(options.loss_weight), count * hidden);
    std::vector<float>& dx = normed;  // which is not wanted any more
    std::fill(dx.begin(), dx.end(), 0.0f);
    NormBackward(context, norm, x.data(), stats.data(), d_normed.data(), count, dx.data());
    ScatterRows(dx.data(), chunk, hidden, dx_.data());
  }
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

double TrainingPass::Run(Context& context, const PackedBatch& batch, const Options& options) {
  QAD_CHECK(!batch.tokens.empty() && batch.tokens.size() == batch.labels.size());
  const ScopedDecodedWeights decoded(context);  // gradients are those of the decoded weights
  rows_ = TrainingRows(batch.tokens.size());
  CutIntoItems(batch);
  if (model_.rotary_) model_.rotary_->Extend(1 + *std::max_element(positions_.begin(), positions_.end()));
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

#include "model/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
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

// Of a row, for each linear operation of the layer; with recomputation the largest of all layers, which share them.
std::array<size_t, 4> TrainingPass::LowRankFloats(size_t layer) const {
  std::array<size_t, 4> floats{};
  const size_t first = settings_.recompute ? 0 : layer, last = settings_.recompute ? model_.config().layers - 1 : layer;
  for (size_t l = first; l <= last; ++l)
    for (size_t kind = 0; kind < Transformer::kKinds; ++kind)
      floats[kind] =
          std::max(floats[kind], LowRankTapeFloats(model_.LinearOf(l, static_cast<Transformer::Kind>(kind)), 1));
  return floats;
}

size_t TrainingPass::Bytes(size_t tokens) const {
  const ModelConfig& c = model_.config();
  RankSums ranks;
  for (size_t layer = 0; layer < c.layers; ++layer) {
    const std::array<size_t, 4> floats = LowRankFloats(layer);
    ranks.layer = std::accumulate(floats.begin(), floats.end(), size_t{0});
    ranks.all += ranks.layer;
  }
  return TrainingBytes(c, tokens, ranks, settings_);
}

size_t TrainingPass::allocated_bytes() const {
  return (tape_.size() + buffers_.size() + dx_.capacity()) * sizeof(float);
}

// All but the layer's input.
void TrainingPass::PlaceLayer(Layer& layer, float*& at) const {
  const ModelConfig& c = model_.config();
  const auto take = [&](size_t width) { return std::exchange(at, at + rows_ * width); };
  layer.mid = take(c.hidden);
  layer.stats1 = take(2);
  layer.stats2 = take(2);
  const auto take_product = [&](size_t width) { return take(settings_.bf16 ? (width + 1) / 2 : width); };
  layer.qkv = take_product(c.qkv_outputs());
  layer.log_sum_exp = take(c.heads);
  layer.attention = take(c.heads * c.head_dim);
  layer.up = take_product(model_.up_width());
  const std::array<size_t, 4> low_rank = LowRankFloats(static_cast<size_t>(&layer - layers_.data()));
  for (size_t kind = 0; kind < low_rank.size(); ++kind) layer.low_rank[kind] = take(low_rank[kind]);
}

void TrainingPass::Place(size_t rows) {
  const ModelConfig& c = model_.config();
  const size_t widest = std::max(model_.up_width(), c.qkv_outputs());
  const size_t narrow = std::max(c.hidden, c.intermediate);
  const size_t buffer_floats = TrainingBufferFloats(c, rows, settings_), residual = rows * c.hidden;
  layers_.resize(c.layers);
  Grow(tape_, Bytes(rows) / sizeof(float) - buffer_floats - residual);
  Grow(buffers_, buffer_floats);
  dx_.assign(residual, 0.0f);
  float* at = tape_.data();
  const auto take = [&](size_t width) { return std::exchange(at, at + rows * width); };
  for (Layer& layer : layers_) {
    if (&layer == layers_.data() || !settings_.recompute)
      PlaceLayer(layer, at);
    else
      layer = layers_.front();
    layer.x = take(c.hidden);
  }
  final_ = take(c.hidden);
  QAD_CHECK(at <= tape_.data() + tape_.size());
  at = buffers_.data();
  wide_ = settings_.bf16 ? take(widest) : nullptr;
  d_wide_ = take(widest);
  normed_ = take(narrow);
  d_normed_ = take(narrow);
  d_attention_ = take(c.heads * c.head_dim);
}

Dropout TrainingPass::DropoutOf(const Options& options, size_t layer, size_t kind) const {
  return {.p = options.dropout, .seed = options.seed, .stream = (options.step * layers_.size() + layer) * 4 + kind};
}

void TrainingPass::CutIntoItems(const PackedBatch& batch) {
  QAD_CHECK(batch.continues.empty() || batch.continues.size() == batch.lengths.size());
  positions_.clear();
  items_.clear();
  const auto add = [&](size_t prefix, size_t count) {
    const size_t start = prefix == AttentionItem::kNoPrefix ? 0 : items_[prefix].count;
    AttentionItem& item = items_.emplace_back();
    item.start = start;
    item.count = count;
    item.prefix = prefix;
    for (size_t p = 0; p < count; ++p) positions_.push_back(start + p);
  };
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    const size_t prefix = batch.continues.empty() ? PackedBatch::kNoSegment : batch.continues[s];
    QAD_CHECK(prefix == PackedBatch::kNoSegment || (prefix < s && items_[prefix].start == 0));
    add(prefix, batch.lengths[s]);
  }
  QAD_CHECK(positions_.size() == batch.tokens.size());
  if (rows_ > batch.tokens.size()) add(AttentionItem::kNoPrefix, rows_ - batch.tokens.size());
}

// Rounds what Product(kept) holds, so that the way back finds the very values that the way forward went on with.
void TrainingPass::Keep(Context& context, float* kept, size_t width) {
  if (settings_.bf16) RoundRowsToBF16(context, wide_, rows_, width, reinterpret_cast<uint16_t*>(kept));
}

const float* TrainingPass::Kept(Context& context, float* kept, size_t width) {
  if (settings_.bf16) WidenRows(context, reinterpret_cast<const uint16_t*>(kept), rows_, width, wide_);
  return Product(kept);
}

// Where a layer's attention finds its operands.
void TrainingPass::PlaceItems(const Layer& t, const float* qkv) {
  const ModelConfig& c = model_.config();
  const size_t width = c.qkv_outputs(), q_width = c.heads * c.head_dim;
  size_t first = 0;
  for (AttentionItem& item : items_) {
    const float* row = qkv + first * width;
    item.q = row;
    item.ldq = width;
    item.k = KvView::Packed(row + q_width, c.head_dim, width);
    item.v = KvView::Packed(row + q_width + c.kv_heads * c.head_dim, c.head_dim, width);
    item.out = t.attention + first * q_width;
    item.ldo = q_width;
    item.log_sum_exp = t.log_sum_exp + first * c.heads;
    first += item.count;
  }
}

// From d_attention_ to the gradients of q, k and v in d_wide_.
void TrainingPass::AttendBackward(Context& context) {
  const ModelConfig& c = model_.config();
  const size_t width = c.qkv_outputs(), q_width = c.heads * c.head_dim;
  std::vector<AttentionGradients> gradients;
  size_t first = 0;
  for (const AttentionItem& item : items_) {
    float* row = d_wide_ + first * width;
    gradients.push_back({.d_out = d_attention_ + first * q_width,
                         .ld_out = q_width,
                         .dq = row,
                         .dk = row + q_width,
                         .dv = row + q_width + c.kv_heads * c.head_dim,
                         .ld_gradient = width});
    first += item.count;
  }
  AttentionBackward(context, {c.heads, c.kv_heads, c.head_dim}, items_, gradients);
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
  float* qkv = Product(t.qkv);
  linear(Transformer::kQkv, normed_, c.hidden, qkv, c.qkv_outputs(), false);
  if (model_.rotary_) RotaryForward(context, *model_.rotary_, positions_, c.heads + c.kv_heads, qkv, c.qkv_outputs());
  Keep(context, t.qkv, c.qkv_outputs());
  PlaceItems(t, qkv);
  AttentionForward(context, {c.heads, c.kv_heads, c.head_dim}, items_);
  std::memcpy(t.mid, t.x, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kOutput, t.attention, q_width, t.mid, c.hidden, true);
  NormForward(context, model_.NormOf(Role::kMlpNorm, index), t.mid, rows_, normed_, t.stats2);
  float* up = Product(t.up);
  linear(Transformer::kUp, normed_, c.hidden, up, model_.up_width(), false);
  Keep(context, t.up, model_.up_width());
  ActivationForward(context, c.family->traits.activation, up, rows_, c.intermediate, normed_, c.intermediate);
  float* next = index + 1 < c.layers ? layers_[index + 1].x : final_;
  std::memcpy(next, t.mid, rows_ * c.hidden * sizeof(float));
  linear(Transformer::kDown, normed_, c.intermediate, next, c.hidden, true);
}

// dx_ holds d loss / d (output of the layer) and leaves as d loss / d (its input).
void TrainingPass::BackwardLayer(Context& context, size_t index, const Options& options) {
  if (settings_.recompute) ForwardLayer(context, index, options);
  const ModelConfig& c = model_.config();
  const Layer& t = layers_[index];
  const size_t q_width = c.heads * c.head_dim, up_width = model_.up_width(), n = c.intermediate;
  const auto linear = [&](Transformer::Kind kind, const float* x, size_t in, const float* dy, size_t out, float* dx) {
    if (options.on_outputs) options.on_outputs({index, kind, dy, rows_, out});
    std::fill_n(dx, rows_ * in, 0.0f);
    LinearBackward(context, model_.LinearOf(index, kind), x, in, t.low_rank[kind], dy, rows_, out, dx, in,
                   DropoutOf(options, index, kind));
  };
  const float* up = Kept(context, t.up, up_width);
  ActivationForward(context, c.family->traits.activation, up, rows_, n, normed_, n);
  linear(Transformer::kDown, normed_, n, dx_.data(), c.hidden, d_normed_);
  ActivationBackward(context, c.family->traits.activation, up, d_normed_, rows_, n, d_wide_);
  const NormWeights& mlp_norm = model_.NormOf(Role::kMlpNorm, index);
  NormForward(context, mlp_norm, t.mid, rows_, normed_);
  linear(Transformer::kUp, normed_, c.hidden, d_wide_, up_width, d_normed_);
  NormBackward(context, mlp_norm, t.mid, t.stats2, d_normed_, rows_, dx_.data());

  linear(Transformer::kOutput, t.attention, q_width, dx_.data(), c.hidden, d_attention_);
  PlaceItems(t, Kept(context, t.qkv, c.qkv_outputs()));
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
    if (options.sample_labels) {
      std::vector<double> uniforms;
      for (const size_t row : chunk) uniforms.push_back(RandomUniform(options.seed, options.step, row));
      SampledCrossEntropy(logits, padded, vocab, uniforms, losses.data() + begin);
    } else {
      CrossEntropy(logits, padded, vocab, std::span(targets).subspan(begin, count), losses.data() + begin);
    }
    if (!options.backward) continue;
    if (options.on_outputs) options.on_outputs({OutputGradient::kHead, 0, logits, count, vocab});
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

size_t TrainingPass::FirstBrokenLayer() const {
  const size_t count = rows_ * model_.config().hidden;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const float* output = layer + 1 < layers_.size() ? layers_[layer + 1].x : final_;
    if (!std::all_of(output, output + count, [](float v) { return std::isfinite(v); })) return layer;
  }
  return layers_.size();
}

double TrainingPass::Run(Context& context, const PackedBatch& batch, const Options& options) {
  QAD_CHECK(!batch.tokens.empty() && batch.tokens.size() == batch.labels.size());
  const ScopedSetting decoded(context.int8_activations, false);  // gradients are those of the decoded weights
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

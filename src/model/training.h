// Forward with a tape, and backward, for training adapters on a frozen base. Sequences are packed without padding
// between them; attention stays inside each. What several begin with may be packed once: gradients are the same, but
// dropout then draws one mask for it. Logits exist a chunk of supervised rows at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/footprint.h"
#include "model/transformer.h"

namespace qad {

inline constexpr TokenId kNotSupervised = -1;

struct PackedBatch {
  std::vector<TokenId> tokens;
  std::vector<TokenId> labels;  // labels[t]: the token to predict after tokens[t], or kNotSupervised
  std::vector<size_t> lengths;  // of the segments, in order; their sum is tokens.size()
  // For each segment the earlier one that it continues, or kNoSegment; none where this is empty. One that is continued
  // does not continue another, and is not a sequence of its own.
  std::vector<size_t> continues = {};
  static constexpr size_t kNoSegment = AttentionItem::kNoPrefix;

  size_t supervised() const;
};

// d Σ loss / d y of one linear operation, (rows, width) without gaps: those of a layer in the order in which it has
// them (q, k and v; o; gate and up; down), or the head's on supervised rows.
struct OutputGradient {
  static constexpr size_t kHead = static_cast<size_t>(-1);
  size_t layer = 0, operation = 0;
  const float* values = nullptr;
  size_t rows = 0, width = 0;
};

class TrainingPass {
 public:
  explicit TrainingPass(Transformer& model, const TapeSettings& settings = {}) : model_(model), settings_(settings) {}

  struct Options {
    double loss_weight = 1;       // each supervised token's weight in the gradient: 1 / tokens of the optimizer step
    float dropout = 0;            // of adapters' inputs
    uint64_t seed = 0, step = 0;  // of dropout
    bool backward = true;         // else only the loss
    // Supervised positions predict tokens drawn from the model's own predictions (by seed and step), not their labels.
    bool sample_labels = false;
    // Told each linear operation's gradient as backward comes to it.
    std::function<void(const OutputGradient&)> on_outputs = nullptr;
  };

  // Returns the sum of −log p over supervised tokens (not weighted). Adds loss_weight × gradients to the adapters'
  // gradient buffers (LowRank::a_gradient, b_gradient).
  double Run(Context& context, const PackedBatch& batch, const Options& options);

  // The first layer whose output in the last Run, forward, is not finite; the number of layers where all are.
  size_t FirstBrokenLayer() const;

  // d loss / d embedded inputs of the last Run with backward, (tokens, hidden).
  std::span<const float> input_gradient() const { return dx_; }

  // Bytes of tape and buffers for `tokens` tokens, as Run will allocate them.
  size_t Bytes(size_t tokens) const;
  size_t allocated_bytes() const;

 private:
  // Products are kept in f32, or rounded (TapeSettings::bf16): then `wide_` has them in f32 while they are used.
  struct Layer {
    float *x, *stats1, *qkv, *log_sum_exp, *attention, *mid, *stats2, *up;
    float* low_rank[4];
  };
  void Place(size_t rows);
  void PlaceLayer(Layer& layer, float*& at) const;
  std::array<size_t, 4> LowRankFloats(size_t layer) const;
  void CutIntoItems(const PackedBatch& batch);
  float* Product(float* kept) const { return settings_.bf16 ? wide_ : kept; }
  void Keep(Context& context, float* kept, size_t width);
  const float* Kept(Context& context, float* kept, size_t width);
  void PlaceItems(const Layer& layer, const float* qkv);
  void AttendBackward(Context& context);
  void ForwardLayer(Context& context, size_t layer, const Options& options);
  void BackwardLayer(Context& context, size_t layer, const Options& options);
  double Loss(Context& context, const PackedBatch& batch, const Options& options);
  Dropout DropoutOf(const Options& options, size_t layer, size_t kind) const;

  Transformer& model_;
  TapeSettings settings_;
  size_t rows_ = 0;
  std::vector<size_t> positions_;
  std::vector<AttentionItem> items_;  // a segment each, and what rows are filled up with
  std::vector<Layer> layers_;
  std::vector<float> tape_, buffers_, dx_;
  float *final_ = nullptr, *wide_ = nullptr, *normed_ = nullptr, *d_wide_ = nullptr, *d_normed_ = nullptr,
        *d_attention_ = nullptr;
};

}  // namespace qad

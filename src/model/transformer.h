// One decoder-only transformer for all families: layers are a recipe over ops, with traits from the family's row.
// Forward for inference reads and writes a KV cache; forward for training keeps a tape, and backward consumes it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/kv_cache.h"
#include "model/weights.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "text/tokenizer.h"

namespace qad {

// New tokens of one sequence: positions start … start + tokens.size() in cache slot `slot`.
struct Segment {
  size_t slot = 0, start = 0;
  std::span<const TokenId> tokens;
};

// A place where an adapter may sit: a slice of the outputs of one linear operation.
struct AdapterSite {
  Role role;
  int layer;
  std::string module;      // Hugging Face module name: "model.layers.0.self_attn.q_proj"
  size_t linear = 0;       // index into Transformer's linears
  size_t first = 0;        // first output of the slice
  size_t in = 0, out = 0;  // shape of the slice
};

class Transformer {
 public:
  explicit Transformer(std::shared_ptr<const Weights> weights);

  const ModelConfig& config() const { return weights_->plan().config; }
  const Weights& weights() const { return *weights_; }

  // --- Inference. Rows of all segments are packed; `wanted` names rows (ascending, of the packed batch) whose logits
  // are computed into logits (wanted.size(), vocab). Positions must be below the cache's capacity and, for learned
  // positions, below max_positions: QAD_CHECKed, so callers check lengths first.
  void Forward(Context& context, std::span<const Segment> segments, KvCache& cache, std::span<const size_t> wanted,
               float* logits);
  // The same in two steps: all layers, then what is wanted of the last Run's rows.
  void Run(Context& context, std::span<const Segment> segments, KvCache& cache);
  void Logits(Context& context, std::span<const size_t> wanted, float* logits);
  // log p(targets[i]) after row wanted[i], the logits a chunk at a time.
  std::vector<double> LogProbabilities(Context& context, std::span<const size_t> wanted,
                                       std::span<const TokenId> targets);

  // Bytes of activations that Forward needs for `rows` packed rows, as allocated.
  size_t WorkspaceBytes(size_t rows) const;
  size_t workspace_bytes() const { return workspace_.size() * sizeof(float); }

  // --- Adapters (adapt/ owns their matrices).
  const std::vector<AdapterSite>& sites() const { return sites_; }
  void ClearAdapters();
  void Attach(const AdapterSite& site, const LowRank& adapter);

  friend class TrainingPass;  // training.h: forward with a tape, and backward

 private:
  // Linears of a layer in order: qkv, o, up (gate and up), down.
  enum Kind : size_t { kQkv, kOutput, kUp, kDown, kKinds };
  const Linear& LinearOf(size_t layer, Kind kind) const { return linears_[layer * kKinds + kind]; }
  struct Buffers {
    float *x, *normed, *qkv, *attention, *up;  // up where qkv and attention were
  };
  Buffers Place(size_t rows);
  size_t RowsToMultiply(Context& context, size_t rows) const;
  void BuildLinears();
  void EmbedToken(TokenId token, size_t position, float* x) const;
  static constexpr size_t kNoLayer = static_cast<size_t>(-1);
  const NormWeights& NormOf(Role role, size_t layer) const;
  size_t up_width() const { return linears_[kUp].out; }

  std::shared_ptr<const Weights> weights_;
  std::vector<Linear> linears_;
  Linear head_;
  std::vector<NormWeights> norms_;  // attention and MLP norm of each layer, then the final one
  std::vector<AdapterSite> sites_;
  std::optional<RotaryTable> rotary_;  // none where positions are learned
  MatrixView token_embedding_, position_embedding_;
  bool fine_scores_ = false, dense_f32_ = false;
  std::vector<float> workspace_;
  std::vector<size_t> positions_;     // of the rows of a Run
  std::vector<AttentionItem> items_;  // of its segments
  size_t rows_ = 0;                   // packed rows of the last Run
};

}  // namespace qad

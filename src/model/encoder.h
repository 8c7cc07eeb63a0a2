// Texts to vectors: BERT's encoder (Devlin et al. 2018), the mean of its outputs over a text's tokens, scaled to length
// 1 (Reimers and Gurevych 2019, Sentence-BERT). What lies near in meaning lies near as vectors.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/weights.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "text/wordpiece.h"

namespace qad {

class Encoder {
 public:
  // A folder in the form of sentence-transformers, or a name under which one lies in the cache. Errors (kInput): as
  // ResolveModel, Weights and WordPiece; a model that is no encoder, or is pooled otherwise than by the mean.
  explicit Encoder(const std::string& model, WeightMode mode = WeightMode::kAsStored);

  // SHA-256 of what decides a model's vectors: its files, and the length that texts are cut at. Errors: as the
  // constructor's, of what is read.
  static std::string HashOf(const std::string& model);

  size_t width() const { return config().hidden; }
  // Weights, also as they are prepared for products, and tokenizer.
  size_t bytes() const { return weights_->allocated_bytes() + prepared_.bytes + tokenizer_.bytes(); }
  size_t most_tokens() const { return most_tokens_; }  // of a text, [CLS] and [SEP] among them: the rest is cut off
  const std::string& hash() const { return hash_; }    // as HashOf: vectors of another are no neighbours
  std::vector<TokenId> Tokens(std::string_view text) const { return tokenizer_.Encode(text, most_tokens_); }

  // Unit vectors (texts.size(), width()). A vector does not depend on the texts beside it but for rounding. Batches of
  // texts go to one thread each where there are as many as threads; fewer have all threads, one after the other.
  void Embed(Context& context, std::span<const std::string> texts, float* out);

 private:
  const ModelConfig& config() const { return weights_->plan().config; }
  struct Layer {
    Linear qkv, output, up, down;
    NormWeights attention_norm, mlp_norm;
  };
  using Texts = std::span<const std::vector<TokenId>>;
  // What one thread of control works with.
  struct Worker {
    std::unique_ptr<Context> own;
    std::vector<float> x, qkv, attended, inner;  // of a Run's rows
  };
  // Vectors of some texts, whose tokens are run at once. Returns the first whose vector is not finite, or their number.
  size_t EmbedAtOnce(Context& context, Worker& worker, Texts texts, float* out) const;
  // All tokens of some texts, one text after another.
  void Run(Context& context, Worker& worker, Texts texts) const;
  void LookUp(TokenId token, size_t position, float* x) const;
  void Attend(Context& context, Worker& worker, Texts texts) const;
  void PrepareWeights(const Context& context);
  NormWeights NormOf(Role role, int layer) const;
  Linear LinearOf(std::initializer_list<Role> roles, int layer) const;

  std::unique_ptr<Weights> weights_;
  WordPiece tokenizer_;
  std::string hash_;
  size_t most_tokens_ = 0;
  std::vector<Layer> layers_;
  NormWeights embedding_norm_;
  std::vector<Worker> workers_;
  PreparedParts prepared_;
};

}  // namespace qad

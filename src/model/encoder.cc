#include "model/encoder.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/process.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"
#include "ops/activation.h"
#include "ops/attention.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kRows = 256;  // tokens that are run at once, or one text's: what becomes of them stays in L2

ModelFiles OpenEncoder(const std::string& model) {
  ModelFiles files = OpenModel(ResolveModel(model));
  const ModelConfig config = ConfigOf(files);
  if (!config.family->traits.encoder)
    FailInput("{}: is no encoder but of family {}; embeddings want a folder such as all-MiniLM-L6-v2's",
              files.path.string(), config.family->name);
  return files;
}

std::string LastPart(const std::string& type) { return type.substr(type.rfind('.') + 1); }

// What stands behind the encoder must be the mean over tokens, and at most a scaling to length 1.
void RequireMeanPooling(const fs::path& folder) {
  const fs::path list = folder / "modules.json";
  if (!fs::exists(list)) return;  // a plain BERT folder: the mean is what is asked for
  const Json modules = ReadJsonFile(list);
  if (!modules.is_array()) FailInput("{}: must be a list of modules", list.string());
  for (const Json& entry : modules) {
    const JsonObject module(entry, list.string());
    const std::string type = LastPart(module.String("type"));
    if (type == "Transformer" || type == "Normalize") continue;
    if (type != "Pooling")
      FailInput("{}: has a module {}; this version runs Transformer, Pooling and Normalize", list.string(), type);
    const fs::path file = folder / module.String("path") / "config.json";
    const Json json = ReadJsonFile(file);
    const JsonObject pooling(json, file.string());
    for (const auto& [key, value] : json.items())
      if (key.starts_with("pooling_mode_") && value == true && key != "pooling_mode_mean_tokens")
        FailInput("{}: {} is set; this version takes the mean over tokens", file.string(), key);
    if (!pooling.BoolOr("pooling_mode_mean_tokens", true))
      FailInput("{}: pooling_mode_mean_tokens is not set; this version takes the mean over tokens", file.string());
  }
}

size_t MostTokens(const fs::path& folder, size_t positions) {
  const fs::path file = folder / "sentence_bert_config.json";
  if (!fs::exists(file)) return positions;
  const Json json = ReadJsonFile(file);
  const auto most = static_cast<int64_t>(positions);
  return static_cast<size_t>(JsonObject(json, file.string()).IntOr("max_seq_length", 2, most, most));
}

}  // namespace

std::string Encoder::HashOf(const std::string& model) {
  const ModelFiles files = OpenEncoder(model);
  return Sha256(fmt::format("{} {}", files.Hash(), MostTokens(files.path, ConfigOf(files).max_positions)));
}

Encoder::Encoder(const std::string& model, WeightMode mode)
    : tokenizer_(WordPiece::FromTokenizerJson(ResolveModel(model) / "tokenizer.json")) {
  ReturnFreedMemory();  // of what was read the tokenizer keeps a small part
  const ModelFiles files = OpenEncoder(model);
  RequireMeanPooling(files.path);
  hash_ = HashOf(model);
  weights_ = std::make_unique<Weights>(PlanOf(files, mode), files);
  most_tokens_ = MostTokens(files.path, config().max_positions);
  if (tokenizer_.vocab_size() > config().vocab)
    FailInput("{}: its tokenizer has {} tokens, the model {}", files.path.string(), tokenizer_.vocab_size(),
              config().vocab);
  embedding_norm_ = NormOf(Role::kEmbeddingNorm, -1);
  for (int layer = 0; layer < static_cast<int>(config().layers); ++layer)
    layers_.push_back({.qkv = LinearOf({Role::kQ, Role::kK, Role::kV}, layer),
                       .output = LinearOf({Role::kO}, layer),
                       .up = LinearOf({Role::kUp}, layer),
                       .down = LinearOf({Role::kDown}, layer),
                       .attention_norm = NormOf(Role::kAttentionNorm, layer),
                       .mlp_norm = NormOf(Role::kMlpNorm, layer)});
}

NormWeights Encoder::NormOf(Role role, int layer) const {
  return {.kind = Norm::kLayer,
          .width = config().hidden,
          .epsilon = config().norm_eps,
          .gain = weights_->Vector(role, layer, false),
          .bias = weights_->Vector(role, layer, true)};
}

Linear Encoder::LinearOf(std::initializer_list<Role> roles, int layer) const {
  Weights::Stack stack = weights_->Stacked(roles, layer);
  return {.in = stack.in,
          .out = stack.out,
          .parts = std::move(stack.parts),
          .biases = std::move(stack.biases),
          .adapters = {}};
}

void Encoder::LookUp(TokenId token, size_t position, float* x) const {
  const size_t n = config().hidden;
  static thread_local std::vector<float> other;
  other.resize(n);
  DecodeRow(weights_->Matrix(Role::kTokenEmbedding, -1), static_cast<size_t>(token), x);
  DecodeRow(weights_->Matrix(Role::kPositionEmbedding, -1), position, other.data());
  Add(other.data(), x, n);
  DecodeRow(weights_->Matrix(Role::kTypeEmbedding, -1), 0, other.data());
  Add(other.data(), x, n);
}

void Encoder::Attend(Context& context, Worker& worker, Texts texts) const {
  const ModelConfig& c = config();
  const size_t width = c.heads * c.head_dim;
  std::vector<AttentionItem> items;
  size_t row = 0;
  for (const std::vector<TokenId>& text : texts) {
    const float* q = worker.qkv.data() + row * 3 * width;
    items.push_back({.q = q,
                     .ldq = 3 * width,
                     .count = text.size(),
                     .start = 0,
                     .k = KvView::Packed(q + width, c.head_dim, 3 * width),
                     .v = KvView::Packed(q + 2 * width, c.head_dim, 3 * width),
                     .out = worker.attended.data() + row * width,
                     .ldo = width,
                     .both_ways = true});
    row += text.size();
  }
  AttentionForward(context, {.heads = c.heads, .kv_heads = c.heads, .head_dim = c.head_dim, .fine_scores = true},
                   items);
}

void Encoder::Run(Context& context, Worker& worker, Texts texts) const {
  const ModelConfig& c = config();
  size_t rows = 0;
  for (const std::vector<TokenId>& text : texts) rows += text.size();
  const size_t padded = PaddedRows(rows), n = c.hidden, width = c.heads * c.head_dim;
  for (const auto& [buffer, floats] : {std::pair(&worker.x, n), std::pair(&worker.qkv, 3 * width),
                                       std::pair(&worker.attended, width), std::pair(&worker.inner, c.intermediate)})
    if (buffer->size() < padded * floats) buffer->resize(padded * floats);
  float *x = worker.x.data(), *qkv = worker.qkv.data(), *inner = worker.inner.data();
  {
    const ScopedTimer timer(context, Timed::kEmbed);
    float* to = x;
    for (const std::vector<TokenId>& text : texts)
      for (size_t t = 0; t < text.size(); ++t, to += n) LookUp(text[t], t, to);
  }
  NormForward(context, embedding_norm_, x, rows, x);
  for (const Layer& layer : layers_) {
    LinearForward(context, layer.qkv, x, padded, n, qkv, 3 * width, false);
    Attend(context, worker, texts);
    LinearForward(context, layer.output, worker.attended.data(), padded, width, x, n, true);
    NormForward(context, layer.attention_norm, x, rows, x);
    LinearForward(context, layer.up, x, padded, n, inner, c.intermediate, false);
    ActivationForward(context, c.family->traits.activation, inner, rows, c.intermediate, inner, c.intermediate);
    LinearForward(context, layer.down, inner, padded, c.intermediate, x, n, true);
    NormForward(context, layer.mlp_norm, x, rows, x);
  }
}

size_t Encoder::EmbedAtOnce(Context& context, Worker& worker, Texts texts, float* out) const {
  const ScopedSetting<RowsAre> prompts(context.rows, RowsAre::kOfPrompts);
  Run(context, worker, texts);
  const size_t n = width();
  const float* x = worker.x.data();
  size_t first_bad = texts.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    float* vector = out + i * n;
    std::fill_n(vector, n, 0.0f);
    for (size_t t = 0; t < texts[i].size(); ++t, x += n) Add(x, vector, n);
    const double length = std::sqrt(SumOfSquares(vector, n));
    if (!std::isfinite(length)) first_bad = std::min(first_bad, i);
    for (size_t k = 0; k < n && length > 0; ++k)
      vector[k] = static_cast<float>(static_cast<double>(vector[k]) / length);
  }
  return first_bad;
}

void Encoder::PrepareWeights(const Context& context) {
  if (prepared_.bytes > 0) return;
  for (Layer& layer : layers_)
    for (Linear* linear : {&layer.qkv, &layer.output, &layer.up, &layer.down})
      PrepareParts(context, *linear, prepared_);
}

void Encoder::Embed(Context& context, std::span<const std::string> texts, float* out) {
  std::vector<std::vector<TokenId>> tokens(texts.size());
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < static_cast<int64_t>(texts.size()); ++i)
    tokens[static_cast<size_t>(i)] = Tokens(texts[static_cast<size_t>(i)]);
  std::vector<std::pair<size_t, size_t>> batches;  // begin … end
  for (size_t begin = 0, end = 0; begin < tokens.size(); begin = end) {
    size_t rows = 0;
    while (end < tokens.size() && (end == begin || rows + tokens[end].size() <= kRows)) rows += tokens[end++].size();
    batches.emplace_back(begin, end);
  }
  const auto threads = static_cast<size_t>(std::max(context.threads, 1));
  workers_.resize(threads);
  for (Worker& worker : workers_) worker.own = context.ForOneThread();  // with the settings of now
  if (batches.size() > 1) PrepareWeights(context);
  std::vector<size_t> bad(batches.size());  // which text of each
  const auto embed = [&](Context& with, Worker& worker, size_t batch) {
    const auto [begin, end] = batches[batch];
    bad[batch] = EmbedAtOnce(with, worker, Texts(tokens).subspan(begin, end - begin), out + begin * width());
  };
  std::exception_ptr failure;  // none may leave a parallel region
  if (batches.size() < threads) {
    for (size_t i = 0; i < batches.size(); ++i) embed(context, workers_[0], i);
  } else {
#pragma omp parallel for schedule(dynamic) num_threads(static_cast <int>(threads))
    for (int64_t i = 0; i < static_cast<int64_t>(batches.size()); ++i) {
      Worker& worker = workers_[static_cast<size_t>(omp_get_thread_num())];
      try {
        embed(*worker.own, worker, static_cast<size_t>(i));
      } catch (...) {
#pragma omp critical
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
  for (size_t i = 0; i < batches.size(); ++i)
    if (const size_t text = batches[i].first + bad[i]; text < batches[i].second)
      Fail(ErrorKind::kNumeric, "text {}: its vector is not finite; are the weights damaged?", text);
}

}  // namespace qad

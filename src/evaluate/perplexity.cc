#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/progress.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"

namespace qad {
namespace {

constexpr size_t kChunk = 64;  // rows of logits that exist at once

// Mean and standard error of what is added (Welford 1962).
class Mean {
 public:
  void Add(double x) {
    ++n_;
    const double before = x - mean_;
    mean_ += before / static_cast<double>(n_);
    squares_ += before * (x - mean_);
  }
  double mean() const { return mean_; }
  double standard_error() const {
    return n_ < 2 ? 0 : std::sqrt(squares_ / static_cast<double>(n_ - 1) / static_cast<double>(n_));
  }
  size_t n() const { return n_; }

 private:
  size_t n_ = 0;
  double mean_ = 0, squares_ = 0;
};

struct RowScore {
  double log_probability, kl;
  bool same_top;
};

RowScore ScoreRow(const float* model, const float* reference, size_t vocab, TokenId target) {
  const double log_probability = static_cast<double>(model[static_cast<size_t>(target)]) - LogSumExp(model, vocab);
  RowScore score{.log_probability = log_probability, .kl = 0, .same_top = true};
  if (reference == nullptr) return score;
  score.kl = KlDivergence(reference, model, vocab);
  score.same_top = ArgMax(model, vocab) == ArgMax(reference, vocab);
  return score;
}

std::vector<TokenId> WindowOf(std::span<const TokenId> tokens, size_t at, const PerplexityOptions& options) {
  std::vector<TokenId> window(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                              tokens.begin() + static_cast<std::ptrdiff_t>(at + options.context));
  if (options.bos) window.front() = *options.bos;  // in the first token's place, as llama-perplexity does
  return window;
}

// Tokens of a window from `start` on, behind those that the cache has.
void RunStep(const ScoredModel& model, std::span<const TokenId> tokens, size_t start, KvCache& cache) {
  const Segment segment{.slot = 0, .start = start, .tokens = tokens};
  model.transformer->Run(*model.context, std::span(&segment, 1), cache);
}

// Errors (kInput): as RequireRoom, of both.
void RequireRoomForBoth(const ScoredModel& model, const ScoredModel* reference, const PerplexityOptions& options) {
  const ModelConfig& config = model.transformer->config();
  uint64_t available = AvailableMemoryBytes();
  RequireRoom(config, 1, options.context, options.kv_type, available);
  if (reference == nullptr) return;
  const uint64_t taken =
      KvCache::Bytes(config, 1, options.context, options.kv_type) + InferenceBytes(config, options.context, 1);
  RequireRoom(reference->transformer->config(), 1, options.context, FormatId::kF32,
              available - std::min(available, taken));
}

}  // namespace

PerplexityResult Perplexity(const ScoredModel& model, const ScoredModel* reference, std::span<const TokenId> tokens,
                            const PerplexityOptions& options) {
  const size_t vocab = model.transformer->config().vocab, length = options.context;
  size_t windows = tokens.size() / length;
  if (options.max_windows > 0) windows = std::min(windows, options.max_windows);
  if (windows == 0)
    FailInput("{} has {} tokens, fewer than one window of {}; use a longer text or a smaller --context", options.text,
              tokens.size(), length);
  if (length > model.transformer->config().max_positions)
    FailInput("a window of {} tokens exceeds the model's {} positions", length,
              model.transformer->config().max_positions);
  if (reference != nullptr && reference->transformer->config().vocab != vocab)
    FailInput("the reference has {} tokens in its vocabulary, the model {}; they cannot be compared",
              reference->transformer->config().vocab, vocab);
  RequireRoomForBoth(model, reference, options);
  const ScopedSetting as(model.context->rows, options.rows);
  std::optional<ScopedSetting<RowsAre>> reference_as;
  if (reference != nullptr) reference_as.emplace(reference->context->rows, RowsAre::kOfPrompts);
  size_t step = StepRows(model.transformer->config());
  if (reference != nullptr) step = std::min(step, StepRows(reference->transformer->config()));
  KvCache cache(model.transformer->config(), 1, length, options.kv_type);
  std::unique_ptr<KvCache> reference_cache;
  if (reference != nullptr)
    reference_cache = std::make_unique<KvCache>(reference->transformer->config(), 1, length, FormatId::kF32);
  Mean log_probability, kl, same;
  std::vector<float> logits(kChunk * vocab), other(reference != nullptr ? kChunk * vocab : 0);
  const size_t first = options.protocol == WindowProtocol::kLlamaCpp ? length / 2 : 0;
  Progress progress("perplexity", static_cast<double>(windows * length), "tok", options.quiet);
  for (size_t w = 0; w < windows; ++w) {
    ThrowIfInterrupted();
    const std::vector<TokenId> window = WindowOf(tokens, w * length, options);
    size_t run = 0, behind = 0;  // tokens that were run, and of these those before the last step
    for (size_t begin = first; begin + 1 < length;) {
      while (run <= begin) {
        behind = run;
        const std::span<const TokenId> tokens_of_step = std::span(window).subspan(run, std::min(step, length - run));
        RunStep(model, tokens_of_step, run, cache);
        if (reference != nullptr) RunStep(*reference, tokens_of_step, run, *reference_cache);
        run += tokens_of_step.size();
      }
      const size_t count = std::min({kChunk, length - 1 - begin, run - begin});
      std::vector<size_t> rows(count);
      for (size_t i = 0; i < count; ++i) rows[i] = begin - behind + i;
      model.transformer->Logits(*model.context, rows, logits.data());
      if (reference != nullptr) reference->transformer->Logits(*reference->context, rows, other.data());
      std::vector<RowScore> scores(count);
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
        const auto r = static_cast<size_t>(i);
        scores[r] = ScoreRow(logits.data() + r * vocab, reference != nullptr ? other.data() + r * vocab : nullptr,
                             vocab, window[begin + r + 1]);
      }
      for (const RowScore& score : scores) {
        if (!std::isfinite(score.log_probability) || !std::isfinite(score.kl))
          Fail(ErrorKind::kNumeric, "window {}: the logits are not finite", w);
        log_probability.Add(-score.log_probability);
        kl.Add(score.kl);
        same.Add(score.same_top ? 1 : 0);
      }
      begin += count;
    }
    progress.Advance(static_cast<double>(length));
  }
  const double perplexity = std::exp(log_probability.mean());
  return {.perplexity = perplexity,
          .perplexity_stderr = perplexity * log_probability.standard_error(),
          .kl_divergence = kl.mean(),
          .kl_stderr = kl.standard_error(),
          .same_top1 = same.mean(),
          .tokens = log_probability.n(),
          .windows = windows,
          .has_reference = reference != nullptr};
}

}  // namespace qad

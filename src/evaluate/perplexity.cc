#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/progress.h"
#include "evaluate/row_score.h"
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

std::vector<TokenId> WindowOf(std::span<const TokenId> tokens, size_t at, const PerplexityOptions& options) {
  std::vector<TokenId> window(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                              tokens.begin() + static_cast<std::ptrdiff_t>(at + options.context));
  if (options.bos) window.front() = *options.bos;  // in the first token's place, as llama-perplexity does
  return window;
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

// Errors (kInput): as Perplexity.
void RequireComparable(const ScoredModel& model, const ScoredModel* reference, const PerplexityOptions& options) {
  const ModelConfig& config = model.transformer->config();
  if (options.context > config.max_positions)
    FailInput("a window of {} tokens exceeds the model's {} positions; use a smaller --context", options.context,
              config.max_positions);
  if (reference != nullptr && reference->transformer->config().vocab != config.vocab)
    FailInput("the reference has {} tokens in its vocabulary, the model {}; they cannot be compared",
              reference->transformer->config().vocab, config.vocab);
  RequireRoomForBoth(model, reference, options);
}

// One of the two models, with what it holds for a window.
class Side {
 public:
  Side(const ScoredModel& model, RowsAre rows, size_t length, FormatId kv_type)
      : model_(model),
        rows_(rows),
        cache_(model.transformer->config(), 1, length, kv_type),
        logits_(kChunk * model.transformer->config().vocab) {}

  // Tokens of a window from `start` on, behind those that the cache has.
  void Run(std::span<const TokenId> tokens, size_t start) {
    const ScopedSetting as(model_.context->rows, rows_);
    const Segment segment{.slot = 0, .start = start, .tokens = tokens};
    model_.transformer->Run(*model_.context, std::span(&segment, 1), cache_);
  }
  // After rows of the last Run, kChunk at most: (rows, vocab).
  void Logits(std::span<const size_t> rows) {
    const ScopedSetting as(model_.context->rows, rows_);
    model_.transformer->Logits(*model_.context, rows, logits_.data());
  }
  const float* logits() const { return logits_.data(); }

 private:
  ScoredModel model_;
  RowsAre rows_;
  KvCache cache_;
  std::vector<float> logits_;
};

class Scorer {
 public:
  Scorer(const ScoredModel& model, const ScoredModel* reference, const PerplexityOptions& options)
      : vocab_(model.transformer->config().vocab),
        step_(StepRows(model.transformer->config())),
        first_(options.protocol == WindowProtocol::kLlamaCpp ? options.context / 2 : 0),
        model_(model, options.rows, options.context, options.kv_type) {
    if (reference == nullptr) return;
    step_ = std::min(step_, StepRows(reference->transformer->config()));
    reference_.emplace(*reference, RowsAre::kOfPrompts, options.context, FormatId::kF32);
  }

  void ScoreWindow(std::span<const TokenId> window) {
    size_t run = 0, behind = 0;  // tokens that were run, and of these those before the last step
    for (size_t begin = first_; begin + 1 < window.size();) {
      while (run <= begin) {
        behind = run;
        run += RunStep(window, run);
      }
      const size_t count = std::min({kChunk, window.size() - 1 - begin, run - begin});
      AddRows(begin - behind, window.subspan(begin + 1, count));
      begin += count;
    }
    ++windows_;
  }

  PerplexityResult Result() const {
    const double perplexity = std::exp(loss_.mean());
    return {.perplexity = perplexity,
            .perplexity_stderr = perplexity * loss_.standard_error(),
            .reference_perplexity = reference_ ? std::exp(reference_loss_.mean()) : 0,
            .kl_divergence = kl_.mean(),
            .kl_stderr = kl_.standard_error(),
            .same_top1 = same_.mean(),
            .tokens = loss_.n(),
            .windows = windows_,
            .has_reference = reference_.has_value()};
  }

 private:
  size_t RunStep(std::span<const TokenId> window, size_t start) {
    const std::span<const TokenId> tokens = window.subspan(start, std::min(step_, window.size() - start));
    model_.Run(tokens, start);
    if (reference_) reference_->Run(tokens, start);
    return tokens.size();
  }

  // Rows of the last step from `first` on, each with the token that it should predict.
  void AddRows(size_t first, std::span<const TokenId> targets) {
    std::vector<size_t> rows(targets.size());
    std::iota(rows.begin(), rows.end(), first);
    model_.Logits(rows);
    if (reference_) reference_->Logits(rows);
    const std::vector<RowScore> scores =
        ScoreRows(model_.logits(), reference_ ? reference_->logits() : nullptr, vocab_, targets);
    for (const RowScore& score : scores) {
      if (!score.IsFinite())
        Fail(ErrorKind::kNumeric,
             "window {}: the logits are not finite; are the weights damaged? qad perplexity --exact tells whether it "
             "is the arithmetic",
             windows_);
      loss_.Add(-score.log_probability);
      reference_loss_.Add(-score.reference_log_probability);
      kl_.Add(score.kl);
      same_.Add(score.same_top ? 1 : 0);
    }
  }

  size_t vocab_, step_, first_, windows_ = 0;
  Side model_;
  std::optional<Side> reference_;
  Mean loss_, reference_loss_, kl_, same_;
};

}  // namespace

PerplexityResult Perplexity(const ScoredModel& model, const ScoredModel* reference, std::span<const TokenId> tokens,
                            const PerplexityOptions& options) {
  const size_t length = options.context;
  size_t windows = tokens.size() / length;
  if (options.max_windows > 0) windows = std::min(windows, options.max_windows);
  if (windows == 0)
    FailInput("{} has {} tokens, fewer than one window of {}; use a longer text or a smaller --context", options.text,
              tokens.size(), length);
  RequireComparable(model, reference, options);
  Scorer scorer(model, reference, options);
  Progress progress("perplexity", static_cast<double>(windows * length), "tok", options.quiet);
  for (size_t w = 0; w < windows; ++w) {
    ThrowIfInterrupted();
    scorer.ScoreWindow(WindowOf(tokens, w * length, options));
    progress.Advance(static_cast<double>(length));
  }
  return scorer.Result();
}

}  // namespace qad

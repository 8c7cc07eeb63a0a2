#include "model/generation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/random.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"

namespace qad {
namespace {

using Clock = std::chrono::steady_clock;
using Prompt = std::vector<TokenId>;

constexpr size_t kWorthSharing = 16;  // tokens of common prefix from which copying pays

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Tokens that all prompts begin with, leaving at least one of each to compute.
size_t CommonPrefix(std::span<const Prompt> prompts) {
  size_t length = prompts.front().size() - 1;
  for (const Prompt& prompt : prompts) {
    length = std::min(length, prompt.size() - 1);
    length = static_cast<size_t>(
        std::mismatch(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(length), prompts.front().begin())
            .first -
        prompt.begin());
  }
  return prompts.size() > 1 && length >= kWorthSharing ? length : 0;
}

// The prefix in slot `slots` of the cache, behind those of the sequences.
void ComputePrefix(Context& context, Transformer& model, KvCache& cache, size_t slot, std::span<const TokenId> prefix) {
  const size_t step = StepRows(model.config());
  const ScopedSetting as(context.rows, RowsAre::kOfPrompts);
  for (size_t at = 0; at < prefix.size(); at += step) {
    const Segment segment{.slot = slot, .start = at, .tokens = prefix.subspan(at, std::min(step, prefix.size() - at))};
    model.Run(context, std::span(&segment, 1), cache);
  }
}

TokenId Greedy(std::span<const float> logits) { return static_cast<TokenId>(ArgMax(logits.data(), logits.size())); }

// Temperature, then top-k, then top-p, as transformers orders its warpers.
TokenId SampleToken(std::span<const float> logits, const GenerateOptions& options, double uniform) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const size_t keep = options.top_k > 0 ? std::min(static_cast<size_t>(options.top_k), ids.size()) : ids.size();
  const auto higher = [&](TokenId a, TokenId b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(keep), ids.end(), higher);
  ids.resize(keep);
  const double top = logits[static_cast<size_t>(ids.front())];
  std::vector<double> weight(keep);
  for (size_t i = 0; i < keep; ++i)
    weight[i] = std::exp((logits[static_cast<size_t>(ids[i])] - top) / options.temperature);
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  size_t kept = 0;
  double mass = 0;
  while (kept < keep && (kept == 0 || mass < options.top_p * total)) mass += weight[kept++];
  double left = uniform * mass;
  for (size_t i = 0; i < kept; ++i) {
    left -= weight[i];
    if (left < 0) return ids[i];
  }
  return ids[kept - 1];
}

// Tokens that may stand behind a prompt: its answer, or its reference where that is longer.
size_t NewTokens(const GenerateOptions& options, size_t index) {
  const auto answer = static_cast<size_t>(options.max_new_tokens);
  return options.references.empty() ? answer : std::max(answer, options.references[index].size());
}

class Batch {
 public:
  Batch(Context& context, Transformer& model, const Tokenizer& tokenizer, std::span<const Prompt> prompts,
        const GenerateOptions& options, size_t prefix)
      : context_(context),
        model_(model),
        tokenizer_(tokenizer),
        prompts_(prompts),
        options_(options),
        prefix_(prefix),
        step_rows_(StepRows(model.config())),
        slots_(Slots()),
        cache_(MakeCache()),
        done_(prompts.size()) {
    for (size_t slot = slots_; slot-- > 0;) free_.push_back(slot);
    if (prefix_ > 0) ComputePrefix(context, model, cache_, slots_, std::span(prompts.front()).first(prefix_));
  }

  std::vector<Generated> Run() {
    while (next_ < prompts_.size() || !active_.empty()) {
      ThrowIfInterrupted();
      Step();
    }
    return std::move(done_);
  }

 private:
  struct Sequence {
    size_t index = 0, slot = 0, position = 0;  // position: tokens already in the cache
    std::vector<TokenId> pending;              // to run next: the prompt, then one token at a time
    bool is_prompt = true;                     // what is pending is (the end of) the prompt
    bool scored = false;                       // its reference has been
    Clock::time_point start;
  };

  size_t Capacity() const {
    size_t longest = 0;
    for (size_t i = 0; i < prompts_.size(); ++i)
      longest = std::max(longest, prompts_[i].size() + NewTokens(options_, i));
    return longest;
  }

  // As many as may be in flight, or as memory allows. Errors (kInput): not one fits.
  size_t Slots() {
    const size_t most = std::min(std::max<size_t>(options_.max_batch, 1), prompts_.size());
    const uint64_t available = AvailableMemoryBytes();
    const auto fit = [&](size_t shared) {
      return SequencesThatFit(model_.config(), most, Capacity(), options_.kv_type, available, shared);
    };
    size_t fits = fit(prefix_ > 0 ? 1 : 0);
    if (fits == 0 && prefix_ > 0) {
      prefix_ = 0;  // nothing is shared where that has no room
      fits = fit(0);
    }
    if (fits == 0) RequireRoom(model_.config(), 1, Capacity(), options_.kv_type, available);
    return fits;
  }

  KvCache MakeCache() const {
    return KvCache(model_.config(), slots_ + (prefix_ > 0 ? 1 : 0), Capacity(), options_.kv_type);
  }

  std::span<const TokenId> Reference(size_t index) const {
    return options_.references.empty() ? std::span<const TokenId>() : options_.references[index];
  }

  // Takes prompts into free slots while their rows fit one step, which is theirs alone: a token's logits must not
  // depend on who joins beside it.
  void Admit() {
    size_t rows = 0;
    while (next_ < prompts_.size() && !free_.empty()) {
      const Prompt& prompt = prompts_[next_];
      const size_t more = prompt.size() - prefix_ + Reference(next_).size();
      if (rows > 0 && rows + more > step_rows_) break;
      rows += more;
      Sequence sequence{.index = next_++,
                        .slot = free_.back(),
                        .position = prefix_,
                        .pending = {prompt.begin() + static_cast<std::ptrdiff_t>(prefix_), prompt.end()},
                        .start = Clock::now()};
      free_.pop_back();
      if (prefix_ > 0) cache_.CopyPrefix(slots_, sequence.slot, prefix_);
      RunAhead(sequence);
      active_.push_back(std::move(sequence));
    }
  }

  // The beginning of a prompt that does not fit a step together with its reference, and the reference where it alone
  // does not: the workspace stays that of a step.
  void RunAhead(Sequence& sequence) {
    std::vector<TokenId>& pending = sequence.pending;
    const ScopedSetting as(context_.rows, RowsAre::kOfPrompts);
    while (pending.size() > 1 && pending.size() + Reference(sequence.index).size() > step_rows_) {
      ThrowIfInterrupted();
      const size_t count = std::min(step_rows_, pending.size() - 1);
      const Segment segment{
          .slot = sequence.slot, .start = sequence.position, .tokens = std::span(pending).first(count)};
      model_.Run(context_, std::span(&segment, 1), cache_);
      sequence.position += count;
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(count));
    }
    if (Reference(sequence.index).size() > step_rows_) RunReference(sequence);
  }

  // A reference behind the last token of its prompt, a step at a time.
  void RunReference(Sequence& sequence) {
    const std::span<const TokenId> reference = Reference(sequence.index);
    std::vector<TokenId> tokens = {sequence.pending.back()};
    tokens.insert(tokens.end(), reference.begin(), reference.end() - 1);
    for (size_t at = 0; at < tokens.size(); at += step_rows_) {
      ThrowIfInterrupted();
      const size_t count = std::min(step_rows_, tokens.size() - at);
      const Segment segment{
          .slot = sequence.slot, .start = sequence.position + at, .tokens = std::span(tokens).subspan(at, count)};
      model_.Run(context_, std::span(&segment, 1), cache_);
      for (size_t t = 0; t < count; ++t) Await(sequence.index, t, reference[at + t]);
      ScoreReferences();
    }
    sequence.scored = true;
  }

  // A prompt is followed by its reference, whose rows of the cache the answer then overwrites.
  void AppendReference(Sequence& sequence, size_t last_row) {
    if (sequence.scored) return;
    const std::span<const TokenId> reference = Reference(sequence.index);
    for (size_t t = 0; t < reference.size(); ++t) {
      Await(sequence.index, last_row + t, reference[t]);
      if (t + 1 < reference.size()) sequence.pending.push_back(reference[t]);
    }
  }

  // A row of this step should predict `token`.
  void Await(size_t index, size_t row, TokenId token) {
    reference_of_.push_back(index);
    reference_rows_.push_back(row);
    reference_tokens_.push_back(token);
  }

  void ScoreReferences() {
    if (reference_rows_.empty()) return;
    const std::vector<double> logs = model_.LogProbabilities(context_, reference_rows_, reference_tokens_);
    for (size_t i = 0; i < logs.size(); ++i) done_[reference_of_[i]].reference_log_probability += logs[i];
    reference_of_.clear();
    reference_rows_.clear();
    reference_tokens_.clear();
  }

  void Step() {
    Admit();
    const bool prompts = std::ranges::any_of(active_, &Sequence::is_prompt);
    std::vector<Segment> segments;
    std::vector<size_t> last_rows;
    size_t rows = 0;
    for (Sequence& sequence : active_) {
      if (sequence.is_prompt != prompts) continue;
      const size_t own = sequence.pending.size();
      last_rows.push_back(rows + own - 1);
      if (sequence.is_prompt) AppendReference(sequence, rows + own - 1);
      segments.push_back({.slot = sequence.slot, .start = sequence.position, .tokens = sequence.pending});
      rows += sequence.pending.size();
      sequence.position += own;
    }
    const size_t vocab = model_.config().vocab;
    logits_.resize(segments.size() * vocab);
    Compute(segments, last_rows, prompts);
    std::vector<Sequence> going;
    size_t i = 0;
    for (Sequence& sequence : active_) {
      const bool goes_on =
          sequence.is_prompt != prompts || Take(sequence, std::span(logits_).subspan(i++ * vocab, vocab));
      if (goes_on)
        going.push_back(std::move(sequence));
      else
        free_.push_back(sequence.slot);
    }
    active_ = std::move(going);
  }

  void Compute(const std::vector<Segment>& segments, const std::vector<size_t>& last_rows, bool prompts) {
    {
      const ScopedSetting as(context_.rows, prompts ? RowsAre::kOfPrompts : RowsAre::kOfAnswers);
      model_.Run(context_, segments, cache_);
      ScoreReferences();
    }
    // Of each sequence one row, whoever else is there.
    const ScopedSetting as(context_.rows, RowsAre::kOfAnswers);
    model_.Logits(context_, last_rows, logits_.data());
  }

  // Chooses the next token of one sequence. Returns whether it goes on.
  bool Take(Sequence& sequence, std::span<const float> logits) {
    Generated& out = done_[sequence.index];
    sequence.is_prompt = false;
    TokenId token = Greedy(logits);
    if (!std::isfinite(logits[static_cast<size_t>(token)]))
      Fail(ErrorKind::kNumeric,
           "prompt {}: the model's logits are not finite after {} tokens; are its weights damaged? qad "
           "perplexity --exact tells whether it is the arithmetic",
           sequence.index, sequence.position);
    if (options_.temperature > 0)
      token = SampleToken(logits, options_, RandomUniform(options_.seed, sequence.index, sequence.position));
    if (out.first_token_seconds == 0) out.first_token_seconds = SecondsSince(sequence.start);
    out.seconds = SecondsSince(sequence.start);
    if (!options_.ignore_end && tokenizer_.IsEndOfGeneration(token)) return false;
    out.tokens.push_back(token);
    if (options_.on_token) options_.on_token(sequence.index, token);
    if (out.tokens.size() >= static_cast<size_t>(options_.max_new_tokens)) {
      out.truncated = true;
      return false;
    }
    sequence.pending = {token};
    return true;
  }

  Context& context_;
  Transformer& model_;
  const Tokenizer& tokenizer_;
  std::span<const Prompt> prompts_;
  const GenerateOptions& options_;
  size_t prefix_, step_rows_, slots_;
  KvCache cache_;
  std::vector<Generated> done_;
  std::vector<Sequence> active_;
  std::vector<size_t> free_;
  std::vector<float> logits_;
  std::vector<size_t> reference_of_, reference_rows_;  // prompts, and their rows of this step
  std::vector<TokenId> reference_tokens_;              // that those rows should predict
  size_t next_ = 0;
};

void CheckLengths(const ModelConfig& config, std::span<const Prompt> prompts, const GenerateOptions& options) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) FailInput("prompt {}: is empty", i);
    const size_t more = NewTokens(options, i);
    if (const size_t needed = prompts[i].size() + more; needed > config.max_positions)
      FailInput(
          "prompt {}: {} tokens and {} new ones exceed the model's {} positions by {}; shorten the prompt or the "
          "answer",
          i, prompts[i].size(), more, config.max_positions, needed - config.max_positions);
  }
}

}  // namespace

std::vector<Generated> Generate(Context& context, Transformer& model, const Tokenizer& tokenizer,
                                std::span<const Prompt> prompts, const GenerateOptions& options, bool share_prefix) {
  QAD_CHECK(options.references.empty() || options.references.size() == prompts.size());
  if (prompts.empty() || options.max_new_tokens <= 0) return std::vector<Generated>(prompts.size());
  CheckLengths(model.config(), prompts, options);
  return Batch(context, model, tokenizer, prompts, options, share_prefix ? CommonPrefix(prompts) : 0).Run();
}

}  // namespace qad

#include "adapt/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "adapt/batches.h"
#include "adapt/checkpoint.h"
#include "adapt/optimizer.h"
#include "adapt/schedule.h"
#include "adapt/seeds.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/progress.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Beyond a few hundred rows the dense products gain nothing more, and the tape grows with every row.
constexpr size_t kChosenMicroBatch = 512;
constexpr size_t kMaxPasses = size_t{1} << 20;  // of one step: gives every pass a dropout stream of its own

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<size_t> Everything(const ExampleSet& set) {
  std::vector<size_t> all(set.examples.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

double LossOver(Context& context, TrainingPass& pass, const ExampleSet& set, size_t limit) {
  double total = 0;
  size_t supervised = 0;
  for (const PackedBatch& batch : Pack(set.examples, Everything(set), limit)) {
    total += pass.Run(context, batch, {.backward = false});
    supervised += batch.supervised();
  }
  return total / static_cast<double>(supervised);
}

class Trainer {
 public:
  Trainer(Context& context, Transformer& model, LoraAdapter& adapter, const ExampleSet& train, const ExampleSet& dev,
          const TrainOptions& options, uint64_t seed, const TrainHooks& hooks)
      : context_(context),
        model_(model),
        adapter_(adapter),
        train_(train),
        dev_(dev),
        options_(options),
        hooks_(hooks),
        plan_(train.examples.size(), static_cast<size_t>(options.batch_size), options.epochs,
              SeedFor(seed, SeedPurpose::kOrder)),
        warmup_(WarmupSteps(options.warmup_ratio, plan_.total_steps())),
        dropout_seed_(SeedFor(seed, SeedPurpose::kDropout)),
        optimizer_(adapter.parameters()),
        pass_(model, TapeOf(options)),
        limit_(MicroBatchTokens(options)),
        identity_(TrainingIdentity(adapter, hooks.base, train, dev, options, seed, hooks.judged_by)) {}

  TrainResult Run();

 private:
  void CheckLengths() const;
  void Predict();
  void Resume();
  TrainProgress Step();
  // Of step `step`, 1 being the first. `keep`: the adapter as it is now is good, and worth keeping if none is.
  void RequireFinite(double value, const std::string& what, int64_t step, bool keep);
  std::string ItemsOf(const std::vector<size_t>& examples) const;
  std::string BrokenPlace() const;
  std::string BrokenGradient();
  void ValidateWhereDue();
  double Score() const;
  void Validate();
  size_t BestValidation() const;
  bool HasStopped() const;
  void SaveCheckpoint();
  void Finish();
  size_t TokensOf(const std::vector<size_t>& examples) const;
  double TokensAhead();
  std::string Note(const TrainProgress& done) const;
  fs::path CheckpointFolder() const { return hooks_.output / "checkpoint"; }

  Context& context_;
  Transformer& model_;
  LoraAdapter& adapter_;
  const ExampleSet &train_, &dev_;
  const TrainOptions& options_;
  const TrainHooks& hooks_;
  StepPlan plan_;
  int64_t warmup_;
  uint64_t dropout_seed_;
  AdamWOptimizer optimizer_;
  TrainingPass pass_;
  size_t limit_;
  Json identity_;
  TrainState state_;
  int64_t saved_step_ = 0;  // of the checkpoint on disk; 0: none of this training
  TrainResult result_;
};

void Trainer::CheckLengths() const {
  const size_t longest = std::max(train_.longest(), dev_.longest()), positions = model_.config().max_positions;
  if (longest > positions)
    FailInput("a training example has {} tokens, but the model has {} positions; set data.max_length to {} or less",
              longest, positions, positions);
}

void Trainer::Predict() {
  size_t largest = LargestPass(dev_.examples, Everything(dev_), limit_);
  for (int64_t step = 0; step < plan_.total_steps(); ++step)
    largest = std::max(largest, LargestPass(train_.examples, plan_.ExamplesOf(step), limit_));
  result_.trainable_parameters = adapter_.parameters();
  result_.adapter_bytes = result_.gradient_bytes = adapter_.bytes();
  result_.moment_bytes = optimizer_.bytes();
  result_.best_bytes = dev_.examples.empty() ? 0 : adapter_.bytes();
  result_.loss_bytes = LossBytes(model_.config());
  result_.tape_bytes = pass_.Bytes(largest);
  result_.micro_batch_tokens = limit_;
  result_.planned_steps = plan_.total_steps();
  result_.skipped = train_.skipped.size();
  result_.dev_skipped = dev_.skipped.size();
  result_.unsupervised = train_.unsupervised.size();
  result_.dev_unsupervised = dev_.unsupervised.size();
}

void Trainer::Resume() {
  if (hooks_.output.empty()) return;
  for (const fs::path& folder : {hooks_.output, CheckpointFolder()}) MendSwaps(folder);
  if (!HasCheckpoint(CheckpointFolder())) return;
  if (const std::string other = DifferenceFrom(CheckpointFolder(), identity_); !hooks_.resume && !other.empty()) {
    fmt::print(stderr, "! {}: not gone on with, and will be replaced: {}\n", CheckpointFolder().string(), other);
    return;
  }
  ReadCheckpoint(CheckpointFolder(), identity_, adapter_, optimizer_, state_);
  saved_step_ = result_.resumed_from = state_.step;
  KeepCheckpoint(CheckpointFolder(), state_.step, options_.keep_checkpoints);  // where a kill came before that
}

size_t Trainer::TokensOf(const std::vector<size_t>& examples) const {
  size_t tokens = 0;
  for (const size_t index : examples) tokens += train_.examples[index].tokens.size();
  return tokens;
}

double Trainer::TokensAhead() {
  size_t tokens = 0;
  for (int64_t step = state_.step; step < plan_.total_steps(); ++step) tokens += TokensOf(plan_.ExamplesOf(step));
  return static_cast<double>(tokens);
}

// "items a, b, c", to find what is wrong with them.
std::string Trainer::ItemsOf(const std::vector<size_t>& examples) const {
  constexpr size_t kMost = 16;
  std::string ids;
  for (size_t i = 0; i < std::min(examples.size(), kMost); ++i)
    ids += (i == 0 ? "" : ", ") + train_.examples[examples[i]].id;
  return "items " + ids + (examples.size() > kMost ? " …" : "");
}

// Where the last pass, forward, was first not finite.
std::string Trainer::BrokenPlace() const {
  const size_t layer = pass_.FirstBrokenLayer(), layers = model_.config().layers;
  return layer < layers ? fmt::format("not finite behind layer {} of {}", layer, layers)
                        : std::string("finite up to the head");
}

// The first matrix whose gradient is not finite.
std::string Trainer::BrokenGradient() {
  const std::span<const float> gradients = adapter_.gradients();
  for (const LoraAdapter::Module& module : adapter_.modules())
    for (const auto& [name, begin, count] : {std::tuple("lora_A", module.a, module.rank * module.site.in),
                                             std::tuple("lora_B", module.b, module.rank * module.site.out)})
      if (!std::ranges::all_of(gradients.subspan(begin, count), [](float v) { return std::isfinite(v); }))
        return fmt::format("{}.{}", module.site.module, name);
  return "all of them together";
}

void Trainer::RequireFinite(double value, const std::string& what, int64_t step, bool keep) {
  if (std::isfinite(value)) return;
  const bool good = std::ranges::all_of(adapter_.values(), [](float v) { return std::isfinite(v); });
  if (keep && saved_step_ == 0 && state_.step > 0 && good) SaveCheckpoint();  // before the first one was due
  const std::string kept =
      saved_step_ > 0 ? fmt::format("the adapter after step {} is kept in {}", saved_step_, CheckpointFolder().string())
                      : std::string("no adapter was saved before it");
  Fail(ErrorKind::kNumeric,
       "training step {} of {}: {} is {}; {}. A lower train.learning_rate, a longer warm-up or train.max_grad_norm "
       "may help",
       step, plan_.total_steps(), what, value, kept);
}

// One optimizer step: gradients of Σ −log p / (supervised tokens of the step), accumulated over packed passes.
TrainProgress Trainer::Step() {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<size_t> examples = plan_.ExamplesOf(state_.step);
  const std::vector<PackedBatch> passes = Pack(train_.examples, examples, limit_);
  size_t supervised = 0;
  for (const PackedBatch& pass : passes) supervised += pass.supervised();
  QAD_CHECK(supervised > 0 && passes.size() < kMaxPasses);
  std::ranges::fill(adapter_.gradients(), 0.0f);
  TrainingPass::Options run{.loss_weight = 1.0 / static_cast<double>(supervised),
                            .dropout = static_cast<float>(adapter_.config().lora_dropout),
                            .seed = dropout_seed_};
  double total = 0;
  for (size_t i = 0; i < passes.size(); ++i) {
    run.step = static_cast<uint64_t>(state_.step) * kMaxPasses + i;
    total += pass_.Run(context_, passes[i], run);
    if (!std::isfinite(total))
      RequireFinite(total, fmt::format("the loss, {}, on {}", BrokenPlace(), ItemsOf(examples)), state_.step + 1, true);
  }
  const double norm = GlobalNorm(adapter_.gradients());
  if (!std::isfinite(norm))
    RequireFinite(norm, fmt::format("the norm of the gradient of {} on {}", BrokenGradient(), ItemsOf(examples)),
                  state_.step + 1, true);
  const double rate =
      options_.learning_rate * ScheduleFactor(options_.schedule, state_.step, warmup_, plan_.total_steps());
  optimizer_.Step(adapter_, rate, options_.weight_decay, ClipFactor(norm, options_.max_grad_norm));
  ++state_.step;
  state_.losses.push_back(total / static_cast<double>(supervised));
  state_.step_tokens.push_back(static_cast<double>(TokensOf(examples)));
  state_.tokens += static_cast<int64_t>(state_.step_tokens.back());
  state_.supervised_tokens += static_cast<int64_t>(supervised);
  state_.rss_bytes.push_back(static_cast<double>(CurrentRssBytes()));
  state_.step_seconds.push_back(SecondsSince(start));
  state_.seconds += state_.step_seconds.back();
  return {.step = state_.step,
          .total_steps = plan_.total_steps(),
          .loss = state_.losses.back(),
          .gradient_norm = norm,
          .learning_rate = rate};
}

// At the end of an epoch, or so many steps, that has not been validated yet. An interruption here loses no step.
void Trainer::ValidateWhereDue() {
  if (dev_.examples.empty() || state_.step == 0) return;
  const bool due = options_.validate_every > 0 && state_.step % options_.validate_every == 0;
  if (!due && !plan_.EndsEpoch(state_.step - 1)) return;
  if (!state_.validation_steps.empty() && state_.validation_steps.back() == state_.step) return;
  try {
    Validate();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) SaveCheckpoint();
    throw;
  }
}

double Trainer::Score() const {
  if (!hooks_.score) return 0;
  try {
    return hooks_.score();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNumeric) throw;
    Fail(ErrorKind::kNumeric, "step {}: the adapter's answers to the validation set: {}; lower train.learning_rate",
         state_.step, error.what());
  }
}

void Trainer::Validate() {
  const auto start = std::chrono::steady_clock::now();
  const double loss = LossOver(context_, pass_, dev_, limit_);
  RequireFinite(loss, "the validation loss behind it", state_.step, false);
  const double score = Score();
  state_.validation_steps.push_back(state_.step);
  state_.validation_losses.push_back(loss);
  state_.validation_scores.push_back(score);
  if (!options_.keep_best || BestValidation() + 1 == state_.validation_losses.size()) {
    state_.best_step = state_.step;
    state_.best.assign(adapter_.values().begin(), adapter_.values().end());
  }
  state_.validation_seconds += SecondsSince(start);
}

// The first of those with the highest score, of equals with the lowest loss.
size_t Trainer::BestValidation() const {
  const std::vector<double>&scores = state_.validation_scores, &losses = state_.validation_losses;
  size_t best = 0;
  for (size_t i = 1; i < losses.size(); ++i)
    if (scores[i] > scores[best] || (scores[i] == scores[best] && losses[i] < losses[best])) best = i;
  return best;
}

// Whether so many validations in a row have brought nothing better.
bool Trainer::HasStopped() const {
  const size_t count = state_.validation_losses.size();
  return options_.patience > 0 && count > 0 && count - 1 - BestValidation() >= static_cast<size_t>(options_.patience);
}

void Trainer::SaveCheckpoint() {
  if (hooks_.output.empty() || saved_step_ == state_.step) return;
  if (saved_step_ == 0) DropKeptCheckpoints(CheckpointFolder());
  WriteCheckpoint(CheckpointFolder(), identity_, hooks_.base, adapter_, optimizer_, state_);
  KeepCheckpoint(CheckpointFolder(), state_.step, options_.keep_checkpoints);
  saved_step_ = state_.step;
}

void Trainer::Finish() {
  if (state_.best.empty())
    state_.best_step = state_.step;
  else
    std::ranges::copy(state_.best, adapter_.values().begin());
  adapter_.DropGradients();
  adapter_.AttachTo(model_);
  if (!hooks_.output.empty()) adapter_.Save(hooks_.output, hooks_.base);  // the swap takes checkpoint/ away
  result_.losses = std::move(state_.losses);
  result_.step_seconds = std::move(state_.step_seconds);
  result_.step_tokens = std::move(state_.step_tokens);
  result_.rss_bytes = std::move(state_.rss_bytes);
  result_.validation_steps = std::move(state_.validation_steps);
  result_.validation_losses = std::move(state_.validation_losses);
  if (hooks_.score) result_.validation_scores = std::move(state_.validation_scores);
  result_.best_step = state_.best_step;
  result_.seconds = state_.seconds;
  result_.validation_seconds = state_.validation_seconds;
  result_.tokens = state_.tokens;
  result_.supervised_tokens = state_.supervised_tokens;
  result_.steps = state_.step;
  result_.tokens_per_second = result_.seconds > 0 ? static_cast<double>(result_.tokens) / result_.seconds : 0;
  result_.tape_bytes_allocated = pass_.allocated_bytes();
  result_.peak_rss_bytes = PeakRssBytes();
}

std::string Trainer::Note(const TrainProgress& done) const {
  std::string note = fmt::format("step {}/{}  loss {:.4f}", done.step, done.total_steps, done.loss);
  if (!state_.validation_losses.empty()) note += fmt::format("  validation {:.4f}", state_.validation_losses.back());
  if (hooks_.score && !state_.validation_scores.empty())
    note += fmt::format("  score {:.3f}", state_.validation_scores.back());
  return note;
}

TrainResult Trainer::Run() {
  CheckLengths();
  Resume();
  adapter_.EnableGradients();
  adapter_.AttachTo(model_);
  Predict();
  if (hooks_.on_plan) hooks_.on_plan(result_);
  Progress progress("training", TokensAhead(), "tok", hooks_.quiet);
  ValidateWhereDue();  // it was interrupted there
  while (state_.step < plan_.total_steps() && !HasStopped()) {
    const int64_t tokens_before = state_.tokens;
    const TrainProgress done = Step();
    ValidateWhereDue();
    progress.Advance(static_cast<double>(state_.tokens - tokens_before), Note(done));
    if (hooks_.on_step) hooks_.on_step(done);
    if (done.step == done.total_steps || HasStopped()) break;
    if (Interrupted() || (options_.save_every > 0 && done.step % options_.save_every == 0)) SaveCheckpoint();
    ThrowIfInterrupted();
  }
  Finish();
  return std::move(result_);
}

}  // namespace

size_t MicroBatchTokens(const TrainOptions& options) {
  return options.micro_batch_tokens > 0 ? static_cast<size_t>(options.micro_batch_tokens) : kChosenMicroBatch;
}

TapeSettings TapeOf(const TrainOptions& options) { return {.recompute = options.recompute, .bf16 = !options.exact}; }

double ValidationLoss(Context& context, Transformer& model, const ExampleSet& set, size_t micro_batch_tokens) {
  TrainingPass pass(model, {.bf16 = context.numerics == Numerics::kFast});
  return LossOver(context, pass, set, micro_batch_tokens);
}

TrainResult Train(Context& context, Transformer& model, LoraAdapter& adapter, const ExampleSet& train,
                  const ExampleSet& dev, const TrainOptions& options, uint64_t seed, const TrainHooks& hooks) {
  if (train.examples.empty()) FailInput("there is nothing to train on: no example is left");
  if (options.batch_size < 1 || options.epochs <= 0)
    Fail(ErrorKind::kUsage, "train.batch_size ({}) and train.epochs ({}) must be positive", options.batch_size,
         options.epochs);
  const ScopedSetting numerics(context.numerics, options.exact ? Numerics::kExact : Numerics::kFast);
  const ScopedSetting parts(context.f32_in_parts, options.split || context.f32_in_parts);
  return Trainer(context, model, adapter, train, dev, options, seed, hooks).Run();
}

}  // namespace qad

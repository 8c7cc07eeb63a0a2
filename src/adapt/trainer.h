// Trains an adapter on a frozen base: epochs of seeded shuffles, gradients accumulated over packed passes, AdamW, with
// checkpoints, validation and the best epoch kept. docs/adapt.md has the equations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "adapt/examples.h"
#include "adapt/lora.h"
#include "adapt/options.h"
#include "model/transformer.h"
#include "ops/context.h"

namespace qad {

struct TrainProgress {
  int64_t step = 0, total_steps = 0;  // steps done
  double loss = 0;                    // of this step, mean over its supervised tokens
  double gradient_norm = 0;           // before clipping
  double learning_rate = 0;
};

struct TrainResult;

struct TrainHooks {
  // Where the finished adapter goes (a PEFT folder, replaced whole at the end). While training, checkpoint/ in it holds
  // the last good adapter and what resuming needs. Empty: nothing is written.
  std::filesystem::path output = {};
  AdapterBase base = {};       // no training is resumed on another
  std::string judged_by = {};  // hash of what `score` depends on beside the examples: nothing is resumed under another
  bool resume = false;  // go on from output/checkpoint; where it is of another training, that is an error, not a start
  // Judges the adapter at each validation, higher is better: what the task is scored by, on the validation set. With
  // options.keep_best it decides which one is kept, the validation loss only between equals. May be empty.
  std::function<double()> score = {};
  bool quiet = false;                                      // no progress on stderr
  std::function<void(const TrainProgress&)> on_step = {};  // after each step; may be empty, may throw
  // Before the first step, with what is predicted: steps, tokens of a pass, bytes. May be empty.
  std::function<void(const TrainResult&)> on_plan = {};
};

struct TrainResult {
  std::vector<double> losses;                                // by step, mean −log p over its supervised tokens
  std::vector<double> step_seconds, step_tokens, rss_bytes;  // by step: the last of the process, after it
  std::vector<int64_t> validation_steps;                     // steps done when the dev set was scored
  std::vector<double> validation_losses;
  std::vector<double> validation_scores;                   // of hooks.score; empty without it
  int64_t best_step = 0;                                   // whose adapter was kept; the last where there is no dev set
  int64_t steps = 0, planned_steps = 0, resumed_from = 0;  // fewer than planned: options.patience ended it
  int64_t tokens = 0, supervised_tokens = 0;  // of the examples, whether or not a shared prefix was computed once
  double seconds = 0, tokens_per_second = 0;  // of all steps, before a resumption too; validation and saving left out
  double validation_seconds = 0;
  size_t trainable_parameters = 0;
  size_t skipped = 0, dev_skipped = 0;            // items left out as too long
  size_t unsupervised = 0, dev_unsupervised = 0;  // … and as having nothing to learn
  size_t micro_batch_tokens = 0;                  // as chosen
  // Predicted bytes, each as it was then allocated: matrices, their gradients, AdamW's moments, the matrices of the
  // best validation; a chunk of logits; the tape and buffers of the largest pass, with what was allocated in the end
  // beside it.
  size_t adapter_bytes = 0, gradient_bytes = 0, moment_bytes = 0, best_bytes = 0, loss_bytes = 0, tape_bytes = 0;
  size_t tape_bytes_allocated = 0;
  size_t planned_bytes() const {
    return adapter_bytes + gradient_bytes + moment_bytes + best_bytes + loss_bytes + tape_bytes;
  }
  size_t peak_rss_bytes = 0;  // of the process so far
};

// Uses options.exact and split in place of context.numerics while it runs. The adapter is left attached, with the
// values of the epoch that validates best: highest hooks.score, then lowest loss (the last ones without a dev set or
// options.keep_best), and saved to hooks.output. A checkpoint of this very training is gone on with even without
// hooks.resume; one of another is written over. Errors: kNumeric, a loss or gradient norm that is NaN or infinite:
// names the step, the checkpoint stays; kInterrupted (Ctrl-C) at the end of a step, with a checkpoint written; kInput,
// an example beyond the model's positions; kUsage, resuming with other data or settings; kFailed, a checkpoint that
// cannot be written.
TrainResult Train(Context& context, Transformer& model, LoraAdapter& adapter, const ExampleSet& train,
                  const ExampleSet& dev, const TrainOptions& options, uint64_t seed, const TrainHooks& hooks);

// Tokens of a forward pass: options.micro_batch_tokens, or enough for the matrix products to run at full speed.
size_t MicroBatchTokens(const TrainOptions& options);

// What a pass keeps: in `numerics: fast` products in bf16, also where the CPU multiplies them in f32 — it halves them.
TapeSettings TapeOf(const TrainOptions& options);

// Mean −log p over the supervised tokens of `set`, without dropout; NaN where there are none.
double ValidationLoss(Context& context, Transformer& model, const ExampleSet& set, size_t micro_batch_tokens);

}  // namespace qad

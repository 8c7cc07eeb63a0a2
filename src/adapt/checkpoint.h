// What an interrupted training needs to go on bit for bit: a folder that is a PEFT adapter (the last good one) with
// trainer.json and trainer.safetensors beside it. Always written whole and swapped in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adapt/examples.h"
#include "adapt/lora.h"
#include "adapt/optimizer.h"
#include "adapt/options.h"
#include "base/json.h"

namespace qad {

struct TrainState {
  int64_t step = 0;            // optimizer steps done; the data order follows from it and the seed
  std::vector<double> losses;  // by step
  std::vector<double> step_seconds, step_tokens, rss_bytes;  // likewise; the last: of the process after it
  std::vector<int64_t> validation_steps;
  std::vector<double> validation_losses, validation_scores;
  int64_t best_step = 0;
  std::vector<float> best;  // the adapter's values then; empty until the first validation
  // Of all steps so far, in whichever processes.
  double seconds = 0, validation_seconds = 0;
  int64_t tokens = 0, supervised_tokens = 0;
};

// What may be resumed, by the names of the configuration: base weights, examples, options, adapter shape, seed; and
// `judged_by`, a hash of what scores depend on beside the examples (TrainHooks). Settings that change nothing of the
// result (save_every) are left out.
Json TrainingIdentity(const LoraAdapter& adapter, const AdapterBase& base, const ExampleSet& train,
                      const ExampleSet& dev, const TrainOptions& options, uint64_t seed, const std::string& judged_by);

void WriteCheckpoint(const std::filesystem::path& folder, const Json& identity, const AdapterBase& base,
                     const LoraAdapter& adapter, AdamWOptimizer& optimizer, const TrainState& state);

// Keeps the checkpoint in `folder` a second time, as `folder`-STEP, and of such the last `keep`; where `keep` is 1,
// none. They come and go whole. Errors: kFailed.
void KeepCheckpoint(const std::filesystem::path& folder, int64_t step, int keep);
// Removes all that were kept so: they are of another training.
void DropKeptCheckpoints(const std::filesystem::path& folder);

// Fills adapter values, optimizer and state. Errors: kInput, files that are missing or malformed; kUsage, another
// training, with the difference.
void ReadCheckpoint(const std::filesystem::path& folder, const Json& identity, LoraAdapter& adapter,
                    AdamWOptimizer& optimizer, TrainState& state);
bool HasCheckpoint(const std::filesystem::path& folder);
// What is other than in this training, nothing where it is of it; "it is damaged, or of another version" where it
// cannot be read.
std::string DifferenceFrom(const std::filesystem::path& folder, const Json& identity);

}  // namespace qad

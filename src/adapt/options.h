// What a user may set about adapters and their training; names and meanings are PEFT's and torch's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace qad {

struct LoraOptions {
  int r = 8;
  double alpha = 16;
  double dropout = 0.05;
  std::vector<std::string> target_modules = {"all-linear"};  // as model/targets.h reads them
  std::vector<int> layers_to_transform = {};                 // only within these; empty: in all
  // Of modules whose names match: r and alpha in place of those above.
  std::map<std::string, double> rank_pattern = {}, alpha_pattern = {};
  bool rslora = false;  // scale alpha/√r instead of alpha/r (Kalajdzievski 2023)
};

enum class Schedule : uint8_t { kConstant, kLinear, kCosine };

struct TrainOptions {
  double epochs = 3;
  int batch_size = 8;          // sequences per optimizer step
  int micro_batch_tokens = 0;  // packed tokens per forward pass; 0: chosen
  double learning_rate = 1e-3;
  Schedule schedule = Schedule::kCosine;
  double warmup_ratio = 0.03;
  double weight_decay = 0;
  double max_grad_norm = 1.0;   // 0: no clipping
  bool completion_only = true;  // loss on completions, else on every token
  double dev_fraction = 0.1;    // of train, where no dev set is given
  bool keep_best = true;        // the adapter of the epoch that validates best, else the last
  int save_every = 50;          // optimizer steps
  int keep_checkpoints = 1;     // the last so many
  int validate_every = 0;       // optimizer steps; 0: after each epoch
  int patience = 0;             // validations without a better one after which training ends; 0: it does not
  bool recompute = false;       // a block's activations again on the way back, in place of keeping them
  bool exact = false;           // f32 products instead of bf16 …
  bool split = false;           // … each in three of bf16 where that is quicker (Context::f32_in_parts)
};

}  // namespace qad

// What a user may set about adapters and their training; names and meanings are PEFT's and torch's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qad {

struct LoraOptions {
  int r = 8;
  double alpha = 16;
  double dropout = 0.05;
  std::vector<std::string> target_modules = {"all-linear"};  // or module/role names: "q_proj", "c_attn", "mlp.up_proj"
  bool rslora = false;                                       // scale alpha/√r instead of alpha/r (Kalajdzievski 2023)
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
  bool exact = false;           // f32 products instead of bf16
};

}  // namespace qad

// The smallest GGUF file that is good enough, or the best that is small enough: every matrix gets the type that gains
// most for its bytes.
//
// What each type costs each matrix is measured: the error that solving with feedback leaves on the calibration texts,
// weighted by how much the model's predictions mind it (quantize/fisher.h), is an estimate of the KL divergence that
// this matrix adds. The knapsack over all matrices (quantize/allocation.h) says which types to take; the file is then
// made of them and judged as a whole.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "quantize/allocation.h"
#include "quantize/gguf_model.h"

namespace qad {

struct AutoOptions {
  uint64_t budget = 0;  // bytes of the file at most; 0: the smallest file whose judgement is within the limit
  double limit = 0;
  // Of a finished file: its KL divergence from the model on texts that were not calibrated with.
  std::function<double(const std::filesystem::path&)> judge;
  bool judges_kl = true;  // false: anything else that falls as files grow, such as what is short of a quality floor
  double damping = 0.01;
  bool act_order = true;
  std::filesystem::path statistics = {};  // folder where they are kept (quantize/statistics.h); empty: nowhere
  bool quiet = false;
  int threads = 0;  // 0: all cores
};

// A file that was made and judged.
struct AutoTrial {
  uint64_t bytes = 0;
  double estimated_kl = 0, judged = 0;  // judged: what AutoOptions::judge said
};

struct AutoReport {
  QuantizeReport artefact;
  std::vector<Choice> front;      // bytes of the file, and its estimated KL divergence as cost
  std::vector<AutoTrial> trials;  // in the order in which they were made
  AutoTrial chosen;
  std::vector<std::pair<std::string, std::string>> formats;  // of each matrix, by its name in GGUF
};

// Errors (kUsage): a budget below the smallest file, with its size.
void RequireBudget(const std::filesystem::path& source, uint64_t budget);

// Errors: kUsage (as RequireBudget; a limit that not even the largest meets: with the numbers; as
// QuantizeGguf, which holds for OUTPUT.trial.gguf and OUTPUT.best.gguf as well), kInput, kNumeric, kFailed,
// kInterrupted as Statistics and QuantizeGguf. An interrupted run goes on behind the last layer that it has
// measured, and behind the last layer of its first file; further files of a search are made again.
AutoReport QuantizeAuto(const std::filesystem::path& source, const std::filesystem::path& output,
                        const Calibration& calibration, const AutoOptions& options);

}  // namespace qad

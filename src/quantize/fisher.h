// How much a model's predictions mind errors in the outputs of its linear operations: the diagonal of the Fisher
// information. For small errors Δy of an operation's outputs, with g = ∂(−log p(t))/∂y and tokens t drawn from p
// itself,
//   KL(p ‖ p̂) ≈ ½ Σ_o E[g_o²] E[Δy_o²],
// the second-order expansion of KL divergence (Kullback 1959, section 2.6), outputs and positions taken as independent.
// Values are the exception that counts: what their errors have in common at many positions adds up in attention, and is
// underestimated.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/model_files.h"
#include "ops/context.h"
#include "text/tokenizer.h"

namespace qad {

struct Fisher {
  // By the plan's tensor name: mean over positions of g² of each output.
  std::map<std::string, std::vector<double>> outputs;
  // The same of the embedded inputs, (hidden).
  std::vector<double> embedded;
  size_t tokens = 0;
};

// One backward pass over `tokens` tokens or so, in samples at even steps. The model is in memory whole, dense matrices
// as bf16. Errors: kInput as PlanOf and Weights; kNumeric (gradients that are not finite); kInterrupted.
Fisher MeasureFisher(const ModelFiles& files, std::span<const std::vector<TokenId>> samples, size_t tokens,
                     Context& context, bool quiet);

}  // namespace qad

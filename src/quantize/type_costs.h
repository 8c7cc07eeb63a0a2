// What each type of GGUF costs each matrix of a model, as an estimate of the KL divergence that it adds alone: the
// error that solving with feedback leaves on the calibration texts (quantize/gptq.h), weighted by how much the model's
// predictions mind it (quantize/fisher.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "quantize/gguf_solve.h"

namespace qad {

// Whether a tensor's type is a matter of choice: matrices, embeddings of tokens among them.
bool HasChoice(const TensorSpec& spec);
// Types that its rows divide into, by bits.
std::vector<FormatId> CandidateTypes(const TensorSpec& spec);

// By the tensor's name and the format's.
using TypeCosts = std::map<std::string, std::map<std::string, double>>;

// Of some rows of each matrix, for the whole of it. `feedback` with the Fisher information. Layers that `store` has are
// taken from there. Errors: kNumeric (as MakeFeedback), kFailed, kInterrupted.
TypeCosts MeasureTypeCosts(const ModelFiles& files, const Plan& plan, const GgufFeedback& feedback, Context& context,
                           LayerStore& store, bool quiet);

}  // namespace qad

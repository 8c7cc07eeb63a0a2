// How far quantized copies of one model are from it, on texts: what quantize/auto_model.h asks for.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "model/load.h"
#include "ops/context.h"

namespace qad {

class KlJudge {
 public:
  // `samples` are joined and cut into windows. Errors: kInput (fewer than two tokens).
  KlJudge(const std::filesystem::path& model, const std::vector<std::vector<TokenId>>& samples, int threads);

  // KL divergence of the copy from the model, in nats: the mean over all positions (evaluate/perplexity.h), fast mode.
  // Both are loaded for the call alone, the model as bf16: searches need their memory in between. Errors: as LoadModel.
  double operator()(const std::filesystem::path& copy);

 private:
  std::filesystem::path model_;
  Context context_, copy_context_;
  std::vector<TokenId> tokens_;
};

}  // namespace qad

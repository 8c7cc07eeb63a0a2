#include "evaluate/kl_judge.h"

#include <algorithm>

#include "base/error.h"
#include "evaluate/perplexity.h"

namespace qad {
namespace {

constexpr size_t kWindow = 512;

}  // namespace

KlJudge::KlJudge(const std::filesystem::path& model, const std::vector<std::vector<TokenId>>& samples, int threads)
    : model_(model), context_(Numerics::kFast, threads), copy_context_(Numerics::kFast, threads) {
  for (const std::vector<TokenId>& sample : samples) tokens_.insert(tokens_.end(), sample.begin(), sample.end());
  if (tokens_.size() < 2) FailInput("{}: no texts to judge its quantized copies on", model.string());
}

double KlJudge::operator()(const std::filesystem::path& copy) {
  Model model = LoadModel(model_, WeightMode::kBF16), quantized = LoadModel(copy, WeightMode::kAsStored);
  const ScoredModel scored{&copy_context_, &quantized.transformer}, reference{&context_, &model.transformer};
  PerplexityOptions options{.quiet = true};
  options.context = std::min({kWindow, tokens_.size(), model.config().max_positions});
  return Perplexity(scored, &reference, tokens_, options).kl_divergence;
}

}  // namespace qad

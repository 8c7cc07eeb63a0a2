#include "evaluate/row_score.h"

#include <cmath>

#include "kernels/elementwise.h"

namespace qad {
namespace {

double LogProbability(const float* row, size_t vocab, TokenId target) {
  return static_cast<double>(row[static_cast<size_t>(target)]) - LogSumExp(row, vocab);
}

RowScore ScoreRow(const float* model, const float* reference, size_t vocab, TokenId target) {
  RowScore score;
  score.log_probability = LogProbability(model, vocab, target);
  if (reference == nullptr) return score;
  score.reference_log_probability = LogProbability(reference, vocab, target);
  score.kl = KlDivergence(reference, model, vocab);
  score.same_top = ArgMax(model, vocab) == ArgMax(reference, vocab);
  return score;
}

}  // namespace

bool RowScore::IsFinite() const {
  return std::isfinite(log_probability) && std::isfinite(reference_log_probability) && std::isfinite(kl);
}

std::vector<RowScore> ScoreRows(const float* model, const float* reference, size_t vocab,
                                std::span<const TokenId> targets) {
  std::vector<RowScore> scores(targets.size());
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < static_cast<int64_t>(scores.size()); ++i) {
    const auto r = static_cast<size_t>(i);
    scores[r] = ScoreRow(model + r * vocab, reference == nullptr ? nullptr : reference + r * vocab, vocab, targets[r]);
  }
  return scores;
}

}  // namespace qad

// What one row of logits says of the token that came, and how far it is from another model's row.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace qad {

struct RowScore {
  double log_probability = 0;            // of the target
  double reference_log_probability = 0;  // under the reference
  double kl = 0;                         // D(reference ‖ model), nats
  bool same_top = true;                  // both would say the same, greedily

  bool IsFinite() const;
};

// `model` and `reference` are (targets.size(), vocab); `reference` may be null: then there is no distance.
std::vector<RowScore> ScoreRows(const float* model, const float* reference, size_t vocab,
                                std::span<const TokenId> targets);

}  // namespace qad

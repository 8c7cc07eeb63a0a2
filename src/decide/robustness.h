// How firm the choice is: items (whole clusters, the same for every arm), rounds of speed measurement and, where
// adapters were trained with several seeds, one of these are drawn again with replacement, and the whole rule runs on
// each draw. The frequency of an arm is not a probability of being right.
#pragma once

#include <cstdint>
#include <vector>

#include "decide/evidence.h"
#include "results/results.h"

namespace qad {

struct Robustness {
  int64_t resamples = 0;           // 0: floors are set and there are no samples of any arm
  std::vector<double> chosen;      // share per arm, in the order of the evidence
  double nothing = 0;              // share in which no arm passes
  std::vector<std::string> fixed;  // arms without samples: their quality was held at its row
};

// `samples` of all arms. Where no floor is set they play no part, and only the rounds of speed are drawn. Equal seeds
// give equal shares.
Robustness Resample(const Evidence& evidence, const std::vector<Sample>& samples, const DecideOptions& options,
                    int64_t resamples, uint64_t seed);

}  // namespace qad

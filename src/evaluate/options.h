// What a user may set about evaluation.
#pragma once

namespace qad {

struct EvalOptions {
  int max_new_tokens = 64;
  double temperature = 0;  // 0: greedy
  int repetitions = 3;     // rounds of speed measurement
  double confidence = 0.95;
  int bootstrap = 2000;  // resamples
  double margin = 0.05;  // differences within it do not matter
};

}  // namespace qad

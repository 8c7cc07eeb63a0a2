// Multinomial logistic regression on sparse rows: minimizes Σ cross-entropy + ½‖W‖² (intercepts are not regularized),
// as scikit-learn's LogisticRegression with C = 1. Nesterov's accelerated gradient with restarts; deterministic.
#pragma once

#include <span>
#include <vector>

#include "evaluate/tfidf.h"

namespace qad {

class LogisticRegression {
 public:
  // Labels count from 0 to classes − 1. Rows should have length 1 or less: the step is bounded for that.
  LogisticRegression(std::span<const SparseVector> rows, std::span<const int> labels, int columns, int classes,
                     int steps = 500);

  std::vector<double> Probabilities(const SparseVector& row) const;  // (classes)
  int Predict(const SparseVector& row) const;                        // the first of equals

 private:
  std::vector<double> weights_;  // (columns + 1, classes); the last row holds the intercepts
  int columns_, classes_;
};

}  // namespace qad

#include "evaluate/logistic.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace qad {
namespace {

std::vector<double> Softmax(const SparseVector& row, const std::vector<double>& weights, int columns, int classes) {
  const auto intercepts = weights.begin() + static_cast<std::ptrdiff_t>(columns) * classes;
  std::vector<double> scores(intercepts, intercepts + classes);
  for (const auto& [column, value] : row)
    for (int c = 0; c < classes; ++c) scores[c] += value * weights[static_cast<size_t>(column) * classes + c];
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - top);
  for (double& score : scores) score /= sum;
  return scores;
}

// Of Σ cross-entropy + ½‖W‖².
std::vector<double> Gradient(std::span<const SparseVector> rows, std::span<const int> labels,
                             const std::vector<double>& weights, int columns, int classes) {
  std::vector<double> gradient = weights;
  const size_t intercepts = static_cast<size_t>(columns) * classes;
  std::fill(gradient.begin() + static_cast<std::ptrdiff_t>(intercepts), gradient.end(), 0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> error = Softmax(rows[i], weights, columns, classes);
    error[static_cast<size_t>(labels[i])] -= 1;
    for (const auto& [column, value] : rows[i])
      for (int c = 0; c < classes; ++c) gradient[static_cast<size_t>(column) * classes + c] += value * error[c];
    for (int c = 0; c < classes; ++c) gradient[intercepts + c] += error[c];
  }
  return gradient;
}

}  // namespace

// The softmax's Hessian is at most ½, a row with its intercept has a squared length of at most 2: so n + 1 bounds the
// curvature. Momentum restarts where it points uphill (O'Donoghue and Candès 2015).
LogisticRegression::LogisticRegression(std::span<const SparseVector> rows, std::span<const int> labels, int columns,
                                       int classes, int steps)
    : weights_(static_cast<size_t>(columns + 1) * classes, 0.0), columns_(columns), classes_(classes) {
  QAD_CHECK(rows.size() == labels.size() && classes >= 1);
  const double step = 1 / (static_cast<double>(rows.size()) + 1);
  std::vector<double> ahead = weights_;  // where the gradient is taken
  double momentum = 1;
  for (int iteration = 0; iteration < steps; ++iteration) {
    const std::vector<double> gradient = Gradient(rows, labels, ahead, columns, classes);
    std::vector<double> next(weights_.size());
    double uphill = 0;
    for (size_t i = 0; i < next.size(); ++i) {
      next[i] = ahead[i] - step * gradient[i];
      uphill += gradient[i] * (next[i] - weights_[i]);
    }
    const double following = uphill > 0 ? 1 : (1 + std::sqrt(1 + 4 * momentum * momentum)) / 2;
    const double push = uphill > 0 ? 0 : (momentum - 1) / following;
    for (size_t i = 0; i < next.size(); ++i) ahead[i] = next[i] + push * (next[i] - weights_[i]);
    weights_ = std::move(next);
    momentum = following;
  }
}

std::vector<double> LogisticRegression::Probabilities(const SparseVector& row) const {
  return Softmax(row, weights_, columns_, classes_);
}

int LogisticRegression::Predict(const SparseVector& row) const {
  const std::vector<double> chances = Probabilities(row);
  return static_cast<int>(std::max_element(chances.begin(), chances.end()) - chances.begin());
}

}  // namespace qad

#include "quantize/awq.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace qad {
namespace {

constexpr size_t kSampledRows = 64;  // of each reader
constexpr int kSteps = 20;           // of α from 0 to 1
constexpr double kMostLog = 9;       // factors from e^−9 to e^9
constexpr float kMostF16 = 65504;    // of a scale

// Rows spread over a matrix.
std::vector<float> Sample(const Reader& reader, size_t cols) {
  const size_t count = std::min(kSampledRows, reader.rows);
  std::vector<float> out;
  for (size_t i = 0; i < count; ++i) {
    const auto row = reader.weights.subspan(i * reader.rows / count * cols, cols);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

// Means over the inputs that share a factor, spread to all of them.
void Share(std::vector<double>& values, std::span<const size_t> shares) {
  if (shares.empty()) return;
  const size_t count = std::ranges::max(shares) + 1;
  std::vector<double> sums(count), counts(count);
  for (size_t i = 0; i < values.size(); ++i) {
    sums[shares[i]] += values[i];
    counts[shares[i]] += 1;
  }
  for (size_t i = 0; i < values.size(); ++i) values[i] = sums[shares[i]] / counts[shares[i]];
}

// x^α / w^β with its extremes' geometric mean at 1.
std::vector<float> Factors(const std::vector<double>& x, const std::vector<double>& w, double alpha, double beta) {
  std::vector<float> factors(x.size());
  std::vector<double> logs(x.size());
  for (size_t i = 0; i < x.size(); ++i) logs[i] = alpha * std::log(x[i]) - beta * std::log(w[i]);
  const auto [least, most] = std::ranges::minmax(logs);
  for (size_t i = 0; i < x.size(); ++i)
    factors[i] = static_cast<float>(std::exp(std::clamp(logs[i] - (least + most) / 2, -kMostLog, kMostLog)));
  return factors;
}

}  // namespace

void ScaleColumns(std::span<float> matrix, std::span<const float> factors) {
  const size_t cols = factors.size();
  for (size_t at = 0; at < matrix.size(); at += cols)
    for (size_t i = 0; i < cols; ++i) matrix[at + i] *= factors[i];
}

std::vector<float> SearchScales(std::span<const Reader> readers, size_t cols, std::span<const float> gram,
                                std::span<const size_t> shares, const GroupOptions& options) {
  QAD_CHECK(shares.empty() || shares.size() == cols);
  std::vector<float> rows;
  for (const Reader& reader : readers) {
    const std::vector<float> sample = Sample(reader, cols);
    rows.insert(rows.end(), sample.begin(), sample.end());
  }
  const size_t count = rows.size() / cols;
  std::vector<double> x(cols), w(cols);
  for (size_t i = 0; i < cols; ++i) {
    x[i] = std::sqrt(std::max(static_cast<double>(gram[i * cols + i]), 0.0));
    for (size_t row = 0; row < count; ++row) w[i] += std::fabs(static_cast<double>(rows[row * cols + i]));
  }
  Share(x, shares);
  Share(w, shares);
  const double least_x = 1e-6 * std::ranges::max(x), least_w = 1e-6 * std::ranges::max(w);
  if (!(least_x > 0) || !(least_w > 0)) return std::vector<float>(cols, 1.0f);
  for (double& value : x) value = std::max(value, least_x);
  for (double& value : w) value = std::max(value, least_w);

  std::vector<float> best(cols, 1.0f), importance(cols), scaled(rows.size());
  double best_loss = std::numeric_limits<double>::infinity();
  for (int step = 0; step <= kSteps; ++step)
    for (const bool by_weights : {false, true}) {
      const double alpha = static_cast<double>(step) / kSteps;
      if (by_weights && step == kSteps) continue;  // the same
      const std::vector<float> factors = Factors(x, w, alpha, by_weights ? 1 - alpha : 0);
      for (size_t i = 0; i < cols; ++i) importance[i] = gram[i * cols + i] / (factors[i] * factors[i]);
      scaled = rows;
      ScaleColumns(scaled, factors);
      // Beyond f16 there are no scales: nothing to choose.
      if (std::ranges::any_of(scaled, [](float weight) { return !(std::fabs(weight) < kMostF16); })) continue;
      GroupCodes codes;
      RoundGroups(scaled, count, cols, importance, options, &codes);
      for (size_t at = 0; at < rows.size(); at += cols)
        for (size_t i = 0; i < cols; ++i) scaled[at + i] = scaled[at + i] / factors[i] - rows[at + i];
      const double loss = QuadraticForm(scaled, count, cols, gram);
      if (!(loss < best_loss)) continue;
      best_loss = loss;
      best = factors;
    }
  return best;
}

}  // namespace qad

#include "quantize/report.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "base/process.h"
#include "kernels/elementwise.h"

namespace qad {

RowError CompareRows(std::span<const float> row, std::span<const float> decoded) {
  static thread_local std::vector<float> distances;
  distances.resize(row.size());
  for (size_t i = 0; i < row.size(); ++i) distances[i] = std::fabs(row[i] - decoded[i]);
  return {SumOfSquares(distances.data(), row.size()), SumOfSquares(row.data(), row.size()),
          Largest(distances.data(), row.size())};
}

ReportFrame::ReportFrame(int threads) : start_(std::chrono::steady_clock::now()) {
  omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
  (void)ResetPeakRss();
}

QuantizeReport ReportFrame::Finish(const std::filesystem::path& output, uint64_t bytes, uint64_t source_bytes,
                                   std::vector<RoleError> errors, std::vector<double> changes) const {
  return {.output = output,
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(),
          .bytes = bytes,
          .source_bytes = source_bytes,
          .peak_rss_bytes = PeakRssBytes(),
          .errors = std::move(errors),
          .changes = std::move(changes)};
}

RowError SumOf(std::span<const RowError> rows) {
  RowError sum;
  for (const RowError& row : rows) {
    sum.squares += row.squares;
    sum.norm += row.norm;
    sum.largest = std::max(sum.largest, row.largest);
  }
  return sum;
}

void Errors::Add(Role role, const RowError& tensor, size_t values) {
  Sum& sum = sums_[role];
  ++sum.error.tensors;
  sum.error.values += values;
  sum.squares += tensor.squares;
  sum.norm += tensor.norm;
  sum.error.max_error = std::max(sum.error.max_error, static_cast<double>(tensor.largest));
}

std::vector<RoleError> Errors::ByRole() const {
  std::vector<RoleError> out;
  for (const auto& [role, sum] : sums_) {
    out.push_back(sum.error);
    out.back().role = role;
    out.back().nmse = sum.norm > 0 ? sum.squares / sum.norm : 0;
  }
  return out;
}

}  // namespace qad

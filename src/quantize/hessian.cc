#include "quantize/hessian.h"

#include <fmt/format.h>
#include <lapacke.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "ops/gemm.h"

namespace qad {
namespace {

constexpr size_t kRowsAtOnce = 4096;  // f32 sums of so many products, then added up

void MirrorUpper(float* a, size_t n) {
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) a[j * n + i] = a[i * n + j];
}

// LAPACK blocks by the number of threads, and with the blocks its rounding changes.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// The upper factor of the inverse, in place; false where the matrix is not positive definite.
bool Factor(float* a, size_t n) {
  const OneThread one;
  const auto size = static_cast<lapack_int>(n);
  // Row-major upper is column-major lower: LAPACKE would transpose.
  if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', size, a, size) != 0) return false;
  if (LAPACKE_spotri_work(LAPACK_COL_MAJOR, 'L', size, a, size) != 0) return false;
  // a's upper triangle, row-major, now holds the inverse A. Uᵀ U = A with U upper is in column-major terms L Lᵀ = A.
  if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', size, a, size) != 0) return false;
  for (size_t i = 0; i < n; ++i)  // LAPACK lets NaN pass
    for (size_t j = i; j < n; ++j)
      if (!std::isfinite(a[i * n + j]) || (i == j && !(a[i * n + i] > 0))) return false;
  return true;
}

}  // namespace

// Cut by shape into squares of columns, each one thread's, so that sums do not depend on the number of threads.
std::vector<float> GramOf(const BlockInput& input) {
  constexpr size_t kSide = 192;
  const size_t n = input.width, sides = (n + kSide - 1) / kSide;
  std::vector<float> gram(n * n);
  std::vector<std::pair<size_t, size_t>> squares;
  for (size_t i = 0; i < sides; ++i)
    for (size_t j = i; j < sides; ++j) squares.emplace_back(i * kSide, j * kSide);
#pragma omp parallel for schedule(dynamic)
  for (int64_t s = 0; s < static_cast<int64_t>(squares.size()); ++s) {
    const auto [i, j] = squares[static_cast<size_t>(s)];
    for (size_t row = 0; row < input.rows; row += kRowsAtOnce) {
      const float* x = input.data + row * n;
      Gemm(true, false, std::min(kSide, n - i), std::min(kSide, n - j), std::min(kRowsAtOnce, input.rows - row), 1.0f,
           x + i, n, x + j, n, 1.0f, gram.data() + i * n + j, n);
    }
  }
  MirrorUpper(gram.data(), n);
  return gram;
}

std::vector<double> SumsOfSquares(const BlockInput& input) {
  std::vector<double> sums(input.width);
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < static_cast<int64_t>(input.width); begin += 64) {
    const size_t end = std::min(input.width, static_cast<size_t>(begin) + 64);
    for (size_t row = 0; row < input.rows; ++row)
      for (size_t i = static_cast<size_t>(begin); i < end; ++i) {
        const auto x = static_cast<double>(input.data[row * input.width + i]);
        sums[i] += x * x;
      }
  }
  return sums;
}

void RequireFiniteInputs(std::span<const double> moments, const std::string& where) {
  if (std::ranges::all_of(moments, [](double moment) { return std::isfinite(static_cast<float>(moment)); })) return;
  Fail(ErrorKind::kNumeric, "{}: its inputs hold NaN or infinity, or squares beyond f32, on the calibration texts",
       where);
}

std::vector<double> Diagonal(std::span<const float> gram, size_t width) {
  std::vector<double> diagonal(width);
  for (size_t i = 0; i < width; ++i) diagonal[i] = static_cast<double>(gram[i * width + i]);
  return diagonal;
}

Feedback MakeFeedback(std::vector<float> gram, size_t width, double damping, bool by_moment, const std::string& where) {
  const std::vector<double> moments = Diagonal(gram, width);
  RequireFiniteInputs(moments, where);
  double mean = std::accumulate(moments.begin(), moments.end(), 0.0) / static_cast<double>(width);
  if (mean == 0) mean = 1;  // nothing ever comes in
  for (size_t i = 0; i < width; ++i)
    if (gram[i * width + i] == 0) gram[i * width + i] = static_cast<float>(mean);
  QAD_CHECK(damping > 0 && damping <= 1);
  Feedback out;
  out.width = width;
  out.where = where;
  if (by_moment) {
    out.order.resize(width);
    std::iota(out.order.begin(), out.order.end(), size_t{0});
    std::ranges::stable_sort(out.order, std::ranges::greater(), [&](size_t i) { return gram[i * width + i]; });
  }
  const auto at = [&](size_t i) { return by_moment ? out.order[i] : i; };
  out.upper.resize(width * width);
  for (out.damping = damping;; out.damping = std::min(1.0, 10 * out.damping)) {
    for (size_t i = 0; i < width; ++i) {
      for (size_t j = 0; j < width; ++j) out.upper[i * width + j] = gram[at(i) * width + at(j)];
      out.upper[i * width + i] += static_cast<float>(out.damping * mean);
    }
    const bool factored = Factor(out.upper.data(), width);
    if (!factored && out.damping < 1) continue;
    if (!factored) break;
    for (size_t i = 0; i < width; ++i) std::fill_n(out.upper.data() + i * width, i, 0.0f);
    if (out.damping > damping)
      fmt::print(stderr,
                 "! {}: the second moments of its inputs are not positive definite with a damping of {}; {} was taken: "
                 "more text to calibrate with would help\n",
                 where, damping, out.damping);
    out.gram = std::move(gram);
    return out;
  }
  Fail(ErrorKind::kNumeric,
       "{}: the second moments of its inputs are not positive definite even with a damping of their mean; calibrate "
       "with more text",
       where);
}

}  // namespace qad

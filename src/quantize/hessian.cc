#include "quantize/hessian.h"

#include <fmt/format.h>
#include <lapacke.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "kernels/panels_bf16.h"
#include "ops/gemm.h"

namespace qad {
namespace {

constexpr size_t kRowsAtOnce = 4096;  // f32 sums of so many products, then added up
constexpr size_t kSide = 192;         // columns of a square

// The upper triangle of a (width, width) matrix in squares, (first row, first column): cut by shape, each one thread's,
// so that sums do not depend on the number of threads.
std::vector<std::pair<size_t, size_t>> UpperSquares(size_t width, size_t side) {
  std::vector<std::pair<size_t, size_t>> squares;
  for (size_t i = 0; i < width; i += side)
    for (size_t j = i; j < width; j += side) squares.emplace_back(i, j);
  return squares;
}

void AddProducts(const BlockInput& input, float* gram) {
  const size_t n = input.width;
  const auto squares = UpperSquares(n, kSide);
#pragma omp parallel for schedule(dynamic)
  for (int64_t s = 0; s < static_cast<int64_t>(squares.size()); ++s) {
    const auto [i, j] = squares[static_cast<size_t>(s)];
    for (size_t row = 0; row < input.rows; row += kRowsAtOnce) {
      const float* x = input.data + row * n;
      Gemm(true, false, std::min(kSide, n - i), std::min(kSide, n - j), std::min(kRowsAtOnce, input.rows - row), 1.0f,
           x + i, n, x + j, n, 1.0f, gram + i * n + j, n);
    }
  }
}

// Rows of inputs go through in pieces, as panels (the right factor) and transposed (the left), of which two squares'
// worth stay in L2.
void AddProductsInBF16(const BlockInput& input, Context& context, float* gram) {
  constexpr size_t kRows = 1024, kPanelsOfSquare = 6, kBF16Side = kPanelsOfSquare * kTileRows;
  constexpr size_t kStride = kRows + 32;  // not a power of two, whose rows would fall into few sets of the cache
  const size_t n = input.width;
  const auto panels_count = static_cast<int64_t>((n + kTileRows - 1) / kTileRows);
  const auto columns = static_cast<size_t>(panels_count) * kTileRows;
  auto* panels = reinterpret_cast<uint16_t*>(context.Scratch(Context::Slot::kPanel, columns * kRows / 2));
  auto* rows = reinterpret_cast<uint16_t*>(context.Scratch(Context::Slot::kActivations, columns * kStride / 2));
  const auto squares = UpperSquares(n, kBF16Side);
  for (size_t begin = 0; begin < input.rows; begin += kRows) {
    const MatrixView x = F32View(input.data + begin * n, std::min(kRows, input.rows - begin), n);
    const size_t pairs = InputPairs(x.rows), values = PanelValues(x.rows);
#pragma omp parallel
    {
#pragma omp for schedule(static)
      for (int64_t p = 0; p < panels_count; ++p) {
        uint16_t* panel = panels + static_cast<size_t>(p) * values;
        DecodeBF16ColumnPanel(x, static_cast<size_t>(p) * kTileRows, 0, x.rows, panel);
        TransposePanel(panel, pairs, rows + static_cast<size_t>(p) * kTileRows * kStride, kStride);
      }
#pragma omp for schedule(dynamic)
      for (int64_t s = 0; s < static_cast<int64_t>(squares.size()); ++s) {
        const auto [i, j] = squares[static_cast<size_t>(s)];
        MultiplyPanels(BF16Product{.x = rows + i * kStride,
                                   .count = std::min(kBF16Side, n - i),
                                   .ldx = kStride,
                                   .words = pairs,
                                   .panels = panels + j / kTileRows * values,
                                   .outputs = std::min(kBF16Side, n - j),
                                   .y = gram + i * n + j,
                                   .ldy = n,
                                   .accumulate = true});
      }
    }
  }
}

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

std::vector<float> GramOf(const BlockInput& input, Context& context) {
  std::vector<float> gram(input.width * input.width);
  context.own_bf16() ? AddProductsInBF16(input, context, gram.data()) : AddProducts(input, gram.data());
  MirrorUpper(gram.data(), input.width);
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

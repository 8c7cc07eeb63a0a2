#include "quantize/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/half.h"
#include "kernels/elementwise.h"
#include "kernels/fit_codes.h"
#include "ops/gemm.h"
#include "quantize/ggml_grid.h"

namespace qad {
namespace {

constexpr size_t kLazyColumns = 256;  // errors of so many columns are kept before those that follow hear of them

// What an error in an input costs once the inputs after it have taken up what they can: 1/U_jj².
std::vector<float> CostsOf(const Feedback& feedback) {
  std::vector<float> costs(feedback.width);
  for (size_t i = 0; i < feedback.width; ++i) {
    const float diagonal = feedback.upper[i * feedback.width + i];
    costs[i] = 1 / (diagonal * diagonal);
  }
  return costs;
}

// Calls product(first, count) for pieces of rows, each one thread's: cut by shape, so that sums do not depend on the
// number of threads.
template <typename Product>
void ForRowPieces(size_t rows, const Product& product) {
  constexpr size_t kPiece = 64;
#pragma omp parallel for schedule(dynamic)
  for (int64_t first = 0; first < static_cast<int64_t>(rows); first += kPiece)
    product(static_cast<size_t>(first), std::min(kPiece, rows - static_cast<size_t>(first)));
}

// The walk along the columns. `place(row, column, weights of the row)` returns what the weight there becomes. Returns
// each row's Σ e².
template <typename Place>
std::vector<double> FeedBack(std::span<float> weights, size_t rows, const Feedback& feedback, const Place& place) {
  const size_t cols = feedback.width;
  const float* upper = feedback.upper.data();
  std::vector<float> errors(rows * kLazyColumns);
  std::vector<double> sums(rows);
  for (size_t begin = 0; begin < cols; begin += kLazyColumns) {
    const size_t end = std::min(cols, begin + kLazyColumns), count = end - begin;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < static_cast<int64_t>(rows); ++r) {
      const auto row = static_cast<size_t>(r);
      float *w = weights.data() + row * cols, *error = errors.data() + row * kLazyColumns;
      for (size_t j = begin; j < end; ++j) {
        const float placed = place(row, j, w);
        const float e = (w[j] - placed) / upper[j * cols + j];
        w[j] = placed;
        error[j - begin] = e;
        sums[row] += static_cast<double>(e) * static_cast<double>(e);
        AddScaled(upper + j * cols + j + 1, -e, w + j + 1, end - j - 1);
      }
    }
    if (end < cols)
      ForRowPieces(rows, [&](size_t first, size_t pieces) {
        Gemm(false, false, pieces, cols - end, count, -1.0f, errors.data() + first * kLazyColumns, kLazyColumns,
             upper + begin * cols + end, cols, 1.0f, weights.data() + first * cols + end, cols);
      });
  }
  return sums;
}

double Total(std::span<const double> sums) { return std::accumulate(sums.begin(), sums.end(), 0.0); }

// Runs are filled up to whole vectors with values that weigh nothing.
struct Padded {
  std::vector<float> x, w;
  Padded(const float* values, const float* weights, size_t n) {
    const size_t size = (n + kFitStep - 1) / kFitStep * kFitStep;
    x.assign(values, values + n);
    x.resize(size, values[0]);
    w.assign(weights, weights + n);
    w.resize(size, 0.0f);
  }
};

// The scale for codes 0 … top with the zero given, and its error: the largest code may not be reached on both sides.
Fit FitWithZero(const Padded& run, int top, int zero) {
  return FitScale(run.x.data(), run.w.data(), run.x.size(), {-zero, top - zero}, false);
}

}  // namespace

GroupFit FitGroup(const float* x, const float* w, size_t n, const GroupOptions& options) {
  const Padded run(x, w, n);
  const int top = options.top();
  GroupFit out{1, (top + 1) / 2};
  if (options.symmetric) {
    if (const Fit fit = FitWithZero(run, top, out.zero); fit.scale > 0) out.scale = fit.scale;
    return out;
  }
  const Fit affine = FitAffine(run.x.data(), run.w.data(), run.x.size(), top, true);
  if (!(affine.scale > 0)) {  // all alike
    const float value = x[0];
    if (value == 0) return out;
    return {std::fabs(value), value > 0 ? 0 : 1};
  }
  const int nearest =
      static_cast<int>(std::lround(std::clamp(-affine.offset / affine.scale, 0.0f, static_cast<float>(top))));
  float best = HUGE_VALF;
  for (int zero = std::max(0, nearest - 1); zero <= std::min(top, nearest + 1); ++zero)
    if (const Fit fit = FitWithZero(run, top, zero); fit.scale > 0 && fit.error < best) {
      best = fit.error;
      out = {fit.scale, zero};
    }
  return out;
}

namespace {

[[noreturn]] void FailScale(const std::string& where) {
  Fail(ErrorKind::kNumeric, "{}: a scale is beyond f16 (65504): the weights are out of range for this format", where);
}

// The codes of all rows as they are placed.
class GroupPlacer {
 public:
  GroupPlacer(size_t rows, size_t cols, const GroupOptions& options, GroupCodes* out)
      : options_(options), group_(options.GroupOf(cols)), out_(*out) {
    // Groups are fitted to weights that have taken up all errors before them: they begin with the columns that are kept
    // back, or lie within.
    QAD_CHECK(cols % group_ == 0 && (group_ == cols || kLazyColumns % group_ == 0));
    out_ = {.bits = options.bits, .rows = rows, .cols = cols, .group = group_};
    out_.codes.resize(rows * cols);
    out_.scales.resize(rows * out_.groups());
    out_.zeros.resize(rows * out_.groups());
  }

  size_t group() const { return group_; }

  void Start(size_t row, size_t group, const float* x, const float* w) {
    const GroupFit fit = FitGroup(x, w, group_, options_);
    out_.scales[row * out_.groups() + group] = FloatToF16(fit.scale);
    out_.zeros[row * out_.groups() + group] = static_cast<uint8_t>(fit.zero);
  }

  float Place(size_t row, size_t column, float value) {
    const size_t g = row * out_.groups() + column / group_;
    const float scale = F16ToFloat(out_.scales[g]), inverse = scale > 0 ? 1 / scale : 0.0f;
    const auto zero = static_cast<float>(out_.zeros[g]), top = static_cast<float>(options_.top());
    const float code = std::nearbyint(std::clamp(value * inverse + zero, 0.0f, top));
    out_.codes[row * out_.cols + column] = static_cast<uint8_t>(code);
    return scale * (code - zero);
  }

  void RequireFinite(const std::string& where) const {
    for (const uint16_t bits : out_.scales)
      if (!std::isfinite(F16ToFloat(bits))) FailScale(where);
  }

 private:
  const GroupOptions& options_;
  size_t group_;
  GroupCodes& out_;
};

// Rows of weights in the feedback's order while `walk` has them.
template <typename Walk>
std::vector<double> InOrder(std::span<float> weights, size_t rows, const Feedback& feedback, const Walk& walk) {
  const size_t cols = feedback.width;
  const std::vector<size_t>& order = feedback.order;
  std::vector<float> ordered(rows * cols);
  for (size_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < cols; ++i) ordered[row * cols + i] = weights[row * cols + order[i]];
  std::vector<double> changes = walk(ordered);
  for (size_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < cols; ++i) weights[row * cols + order[i]] = ordered[row * cols + i];
  return changes;
}

std::vector<float> MomentsOf(const Feedback& feedback) {
  std::vector<float> moments(feedback.width);
  for (size_t i = 0; i < moments.size(); ++i) moments[i] = feedback.gram[i * feedback.width + i];
  return moments;
}

double SolveInOrder(std::span<float> weights, size_t rows, const Feedback& feedback, GroupPlacer& placer) {
  const size_t cols = feedback.width, group = placer.group();
  const std::vector<float> moments = MomentsOf(feedback);
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < static_cast<int64_t>(rows); ++r) {
    const auto row = static_cast<size_t>(r);
    const float* w = weights.data() + row * cols;
    for (size_t i = 0; i < cols; i += group) placer.Start(row, i / group, w + i, moments.data() + i);
  }
  return Total(InOrder(weights, rows, feedback, [&](std::span<float> ordered) {
    return FeedBack(ordered, rows, feedback, [&](size_t row, size_t column, const float* w) {
      return placer.Place(row, feedback.order[column], w[column]);
    });
  }));
}

// An estimate from some rows: it is only what changes are shown against.
double SizeOf(std::span<const float> weights, size_t rows, const Feedback& feedback) {
  constexpr size_t kSampledRows = 64;
  const size_t count = std::min(rows, kSampledRows), cols = feedback.width;
  std::vector<float> sample;
  for (size_t i = 0; i < count; ++i) {
    const auto row = weights.subspan(i * rows / count * cols, cols);
    sample.insert(sample.end(), row.begin(), row.end());
  }
  return QuadraticForm(sample, count, cols, feedback.gram) * static_cast<double>(rows) / static_cast<double>(count);
}

}  // namespace

SolveError SolveGroups(std::span<float> weights, size_t rows, const Feedback& feedback, const GroupOptions& options,
                       GroupCodes* out) {
  const size_t cols = feedback.width;
  GroupPlacer placer(rows, cols, options, out);
  SolveError error;
  error.size = SizeOf(weights, rows, feedback);
  if (feedback.order.empty()) {
    const std::vector<float> costs = CostsOf(feedback);
    error.change = Total(FeedBack(weights, rows, feedback, [&](size_t row, size_t column, const float* w) {
      if (column % placer.group() == 0) placer.Start(row, column / placer.group(), w + column, costs.data() + column);
      return placer.Place(row, column, w[column]);
    }));
  } else {
    error.change = SolveInOrder(weights, rows, feedback, placer);
  }
  placer.RequireFinite(feedback.where);
  return error;
}

void RoundGroups(std::span<float> weights, size_t rows, size_t cols, std::span<const float> importance,
                 const GroupOptions& options, GroupCodes* out, const std::string& where) {
  GroupPlacer placer(rows, cols, options, out);
  const std::vector<float> alike(importance.empty() ? cols : 0, 1.0f);
  const float* costs = importance.empty() ? alike.data() : importance.data();
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < static_cast<int64_t>(rows); ++r) {
    const auto row = static_cast<size_t>(r);
    float* w = weights.data() + row * cols;
    for (size_t i = 0; i < cols; ++i) {
      if (i % placer.group() == 0) placer.Start(row, i / placer.group(), w + i, costs + i);
      w[i] = placer.Place(row, i, w[i]);
    }
  }
  placer.RequireFinite(where);
}

namespace {

// Blocks of a GGUF type are begun when the walk comes to them, for weights that have taken up errors.
std::vector<double> WalkBlocks(std::span<float> weights, size_t rows, const Feedback& feedback, const Format& codec,
                               std::span<std::byte> out) {
  const size_t row_bytes = codec.RowBytes(feedback.width), block_bytes = static_cast<size_t>(codec.block_bytes);
  const std::vector<float> costs = CostsOf(feedback);
  std::vector<GgmlGrid> grids(rows, GgmlGrid(codec.id));
  std::vector<uint8_t> beyond(rows);
  const size_t block = grids.front().block(), part = grids.front().part();
  std::vector<double> changes = FeedBack(weights, rows, feedback, [&](size_t row, size_t column, const float* w) {
    GgmlGrid& grid = grids[row];
    const size_t inside = column % block;
    if (inside == 0)
      grid.Start(w + column, costs.data() + column);
    else if (inside % part == 0)
      grid.StartPart(inside / part, w + column, costs.data() + column);
    const float placed = grid.Place(inside, w[column]);
    if (inside + 1 == block) {
      if (!grid.finite()) beyond[row] = 1;
      grid.Write(out.data() + row * row_bytes + column / block * block_bytes);
    }
    return placed;
  });
  if (std::ranges::find(beyond, 1) != beyond.end()) FailScale(feedback.where);
  return changes;
}

// All blocks are begun before the walk, which comes to their columns in an order of its own.
std::vector<double> WalkBlocksInOrder(std::span<float> weights, size_t rows, const Feedback& feedback,
                                      const Format& codec, std::span<std::byte> out) {
  const size_t cols = feedback.width, block_bytes = static_cast<size_t>(codec.block_bytes);
  const std::vector<float> moments = MomentsOf(feedback);
  const size_t block = static_cast<size_t>(codec.block), blocks = cols / block;
  std::vector<GgmlGrid> grids(rows * blocks, GgmlGrid(codec.id));
  bool finite = true;
#pragma omp parallel for schedule(dynamic, 64) reduction(&& : finite)
  for (int64_t i = 0; i < static_cast<int64_t>(grids.size()); ++i) {
    const auto index = static_cast<size_t>(i);
    grids[index].Start(weights.data() + index * block, moments.data() + index % blocks * block);
    finite = grids[index].finite() && finite;
  }
  if (!finite) FailScale(feedback.where);
  std::vector<double> changes = InOrder(weights, rows, feedback, [&](std::span<float> ordered) {
    return FeedBack(ordered, rows, feedback, [&](size_t row, size_t column, const float* w) {
      const size_t input = feedback.order[column];
      return grids[row * blocks + input / block].Place(input % block, w[column]);
    });
  });
  for (size_t i = 0; i < grids.size(); ++i) grids[i].Write(out.data() + i * block_bytes);
  return changes;
}

}  // namespace

SolveError SolveGgml(std::span<float> weights, size_t rows, const Feedback& feedback, FormatId format,
                     std::span<std::byte> out, std::span<double> row_changes) {
  constexpr size_t kRowsAtOnce = 512;  // whose blocks are in memory
  const Format& codec = GetFormat(format);
  const size_t cols = feedback.width, row_bytes = codec.RowBytes(cols);
  QAD_CHECK(codec.Divides(cols) && out.size() == rows * row_bytes);
  QAD_CHECK(row_changes.empty() || row_changes.size() == rows);
  SolveError error;
  error.size = SizeOf(weights, rows, feedback);
  for (size_t first = 0; first < rows; first += kRowsAtOnce) {
    const size_t count = std::min(kRowsAtOnce, rows - first);
    const auto piece = weights.subspan(first * cols, count * cols);
    const auto bytes = out.subspan(first * row_bytes, count * row_bytes);
    const std::vector<double> changes = feedback.order.empty()
                                            ? WalkBlocks(piece, count, feedback, codec, bytes)
                                            : WalkBlocksInOrder(piece, count, feedback, codec, bytes);
    error.change += Total(changes);
    if (!row_changes.empty()) std::ranges::copy(changes, row_changes.begin() + static_cast<std::ptrdiff_t>(first));
  }
  return error;
}

double QuadraticForm(std::span<const float> matrix, size_t rows, size_t cols, std::span<const float> gram) {
  std::vector<double> sums(rows);
  ForRowPieces(rows, [&](size_t first, size_t count) {
    std::vector<float> product(count * cols);
    const float* piece = matrix.data() + first * cols;
    Gemm(false, false, count, cols, cols, 1.0f, piece, cols, gram.data(), cols, 0.0f, product.data(), cols);
    for (size_t row = 0; row < count; ++row)
      sums[first + row] = static_cast<double>(Dot(piece + row * cols, product.data() + row * cols, cols));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace qad

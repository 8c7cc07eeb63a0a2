#include "ops/linear.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "ops/low_rank.h"
#include "ops/matmul.h"

namespace qad {
namespace {

// Up to this many rows the weights are streamed once by our own dot products; beyond, a dense product pays.
constexpr size_t kFewRows = 8;
// Integer weights go on with integer products up to here, and a batch of sequences is then computed as each of them
// alone. Prompts are longer: they are multiplied in bf16, whose error is far smaller (on SmolLM2 as stored a KL
// divergence of 0.0002 nats against 0.0037 of int8 activations).
constexpr size_t kFewIntegerRows = 16;
constexpr size_t kRowsPerTask = kTileRows;  // outputs a thread takes at a time: work is cut by shape
constexpr size_t kPanelRows = 512;          // outputs decoded at a time for a dense product

// Below this many multiplications a parallel region costs more than it saves. Serial and parallel cut the work alike.
constexpr size_t kMinParallelWork = 1 << 18;
// Outputs of narrow matrices cost as much as those of 4 inputs: they have to be written.
bool Pays(size_t outputs, size_t inputs, size_t count) {
  return outputs * std::max<size_t>(inputs, 4) * count >= kMinParallelWork;
}

struct Rows {
  const float* data;
  size_t count, stride;
};

void FewRowsExact(const MatrixView& w, const Rows& x, float* y, size_t ldy) {
  const auto tasks = static_cast<int64_t>((w.rows + kRowsPerTask - 1) / kRowsPerTask);
#pragma omp parallel for schedule(static) if (Pays(w.rows, w.cols, x.count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t begin = static_cast<size_t>(task) * kRowsPerTask;
    DotRows(w, begin, std::min(w.rows, begin + kRowsPerTask), x.data, x.count, x.stride, y, ldy);
  }
}

QuantizedRows Quantize(Context& context, const Rows& x, size_t cols) {
  const size_t blocks = (cols + kBlock - 1) / kBlock, all = x.count * blocks;
  float* pairs = context.Scratch(Context::Slot::kQuantized, all * (3 + kBlock / sizeof(float)));
  auto* shifts = reinterpret_cast<int32_t*>(pairs + 2 * all);
  auto* codes = reinterpret_cast<int8_t*>(pairs + 3 * all);
#pragma omp parallel for schedule(static) if (Pays(x.count, cols, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(x.count); ++row) {
    const size_t m = static_cast<size_t>(row);
    QuantizeActivations(x.data + m * x.stride, cols, codes + m * blocks * kBlock, pairs + 2 * m * blocks,
                        shifts + m * blocks);
  }
  return {codes, pairs, shifts, x.count, blocks};
}

void FewRowsInt8(const MatrixView& w, const QuantizedRows& x, float* y, size_t ldy) {
  const auto tasks = static_cast<int64_t>((w.rows + kRowsPerTask - 1) / kRowsPerTask);
#pragma omp parallel for schedule(static) if (Pays(w.rows, w.cols, x.count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t begin = static_cast<size_t>(task) * kRowsPerTask;
    DotRowsInt8(w, begin, std::min(w.rows, begin + kRowsPerTask), x, y, ldy);
  }
}

// bf16 copies of activations, contiguous (m, n).
const uint16_t* ToBF16(Context& context, Context::Slot slot, const float* x, size_t m, size_t n, size_t stride) {
  auto* out = reinterpret_cast<uint16_t*>(context.Scratch(slot, (m * n + 1) / 2));
#pragma omp parallel for schedule(static) if (Pays(m, n, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(m); ++row) {
    ConvertToBF16(x + static_cast<size_t>(row) * stride, out + static_cast<size_t>(row) * n, n);
  }
  return out;
}

// A panel of decoded weights, (rows, cols), in f32 or bf16.
struct Panel {
  const void* data;
  size_t stride;               // elements
  bool scale_outputs = false;  // kInt8Row in bf16: codes only, the row scales are applied to the product
};

Panel DecodePanel(Context& context, const MatrixView& w, size_t begin, size_t rows, MatmulType type) {
  if (type == MatmulType::kF32 && w.layout == Layout::kF32)
    return {w.codes + begin * w.stride_bytes, w.stride_bytes / sizeof(float)};
  if (type == MatmulType::kBF16 && w.layout == Layout::kBF16)
    return {w.codes + begin * w.stride_bytes, w.stride_bytes / sizeof(uint16_t)};
  float* panel = context.Scratch(Context::Slot::kPanel, rows * w.cols);
#pragma omp parallel for schedule(static) if (Pays(rows, w.cols, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(rows); ++row) {
    const size_t r = static_cast<size_t>(row);
    if (type == MatmulType::kF32)
      DecodeRow(w, begin + r, panel + r * w.cols);
    else
      DecodeRowsBF16(w, begin + r, 1, reinterpret_cast<uint16_t*>(panel) + r * w.cols);
  }
  return {panel, w.cols, type == MatmulType::kBF16 && w.layout == Layout::kInt8Row};
}

// Rows are taken whole where the weights can be used in place, else a panel at a time.
size_t PanelRows(const MatrixView& w, MatmulType type) {
  const bool in_place = (type == MatmulType::kF32 && w.layout == Layout::kF32) ||
                        (type == MatmulType::kBF16 && w.layout == Layout::kBF16);
  return in_place ? w.rows : std::min(w.rows, kPanelRows);
}

void ManyRows(Context& context, const MatrixView& w, const MatmulArguments& activations, float* y, size_t ldy) {
  const size_t step = PanelRows(w, activations.type);
  for (size_t begin = 0; begin < w.rows; begin += step) {
    const size_t rows = std::min(step, w.rows - begin);
    const Panel panel = DecodePanel(context, w, begin, rows, activations.type);
    MatmulArguments product = activations;
    product.n = rows;
    product.k = w.cols;
    product.b = panel.data;
    product.ldb = panel.stride;
    product.c = y + begin;
    product.ldc = ldy;
    context.matmul().Run(product);
    if (!panel.scale_outputs) continue;
#pragma omp parallel for schedule(static) if (Pays(product.m, rows, 1))
    for (int64_t m = 0; m < static_cast<int64_t>(product.m); ++m) {
      float* row = product.c + static_cast<size_t>(m) * ldy;
      for (size_t r = 0; r < rows; ++r) row[r] *= w.row_scales[begin + r];
    }
  }
}

void BaseForward(Context& context, const Linear& linear, const Rows& x, float* y, size_t ldy) {
  const bool fast = context.numerics == Numerics::kFast;
  QuantizedRows quantized;
  MatmulArguments many{.m = x.count, .a = x.data, .lda = x.stride};
  size_t first = 0;
  for (size_t p = 0; p < linear.parts.size(); ++p) {
    const MatrixView& part = linear.parts[p];
    float* out = y + first;
    const bool integer = fast && IsInteger(part.layout);
    if (x.count > (integer ? kFewIntegerRows : kFewRows)) {
      if (fast && context.has_bf16 && part.layout != Layout::kF32 && many.type == MatmulType::kF32) {
        many.type = MatmulType::kBF16;
        many.a = ToBF16(context, Context::Slot::kActivations, x.data, x.count, linear.in, x.stride);
        many.lda = linear.in;
      }
      ManyRows(context, part, many, out, ldy);
    } else if (integer) {
      if (quantized.codes == nullptr) quantized = Quantize(context, x, linear.in);
      FewRowsInt8(part, quantized, out, ldy);
    } else {
      FewRowsExact(part, x, out, ldy);
    }
    if (const float* bias = linear.biases[p]; bias != nullptr)
      for (size_t m = 0; m < x.count; ++m) Add(bias, out + m * ldy, part.rows);
    first += part.rows;
  }
}

}  // namespace

size_t LowRankTapeFloats(const Linear& linear, size_t m) {
  size_t floats = 0;
  for (const LowRank& adapter : linear.adapters) floats += m * adapter.rank;
  return floats;
}

void LinearForward(Context& context, const Linear& linear, const float* x, size_t m, size_t ldx, float* y, size_t ldy,
                   bool accumulate, const Dropout& dropout, float* tape) {
  QAD_CHECK(linear.parts.size() == linear.biases.size());
  if (m == 0) return;
  float* out = y;
  size_t ld_out = ldy;
  if (accumulate) {
    out = context.Scratch(Context::Slot::kScores, m * linear.out);
    ld_out = linear.out;
  }
  {
    const ScopedTimer timer(context, Timed::kLinear);
    BaseForward(context, linear, {x, m, ldx}, out, ld_out);
  }
  LowRankForward(context, linear, x, m, ldx, out, ld_out, dropout, tape);
  if (accumulate)
    for (size_t row = 0; row < m; ++row) Add(out + row * ld_out, y + row * ldy, linear.out);
}

namespace {

// dx += dy W: W as it lies is the (k, n) operand.
void BaseBackward(Context& context, const Linear& linear, const Rows& dy, float* dx, size_t ldx) {
  const ScopedTimer timer(context, Timed::kLinear);
  const bool fast = context.numerics == Numerics::kFast && context.has_bf16;
  size_t first = 0;
  for (const MatrixView& part : linear.parts) {
    MatmulArguments product{
        .m = dy.count, .n = linear.in, .b_transposed = false, .c = dx, .ldc = ldx, .accumulate = true};
    product.type = fast && part.layout != Layout::kF32 ? MatmulType::kBF16 : MatmulType::kF32;
    const size_t step = PanelRows(part, product.type);
    for (size_t begin = 0; begin < part.rows; begin += step) {
      const size_t rows = std::min(step, part.rows - begin);
      Panel panel = DecodePanel(context, part, begin, rows, product.type);
      const float* slice = dy.data + first + begin;
      product.k = rows;
      product.b = panel.data;
      product.ldb = panel.stride;
      product.a = slice;
      product.lda = dy.stride;
      std::vector<float> scaled;
      if (panel.scale_outputs) {
        scaled.resize(dy.count * rows);
        for (size_t m = 0; m < dy.count; ++m)
          for (size_t r = 0; r < rows; ++r)
            scaled[m * rows + r] = slice[m * dy.stride + r] * part.row_scales[begin + r];
        product.a = scaled.data();
        product.lda = rows;
      }
      if (product.type == MatmulType::kBF16) {
        product.a = ToBF16(context, Context::Slot::kActivations, static_cast<const float*>(product.a), dy.count, rows,
                           product.lda);
        product.lda = rows;
      }
      context.matmul().Run(product);
    }
    first += part.rows;
  }
}

}  // namespace

void LinearBackward(Context& context, const Linear& linear, const float* x, size_t ldx, const float* tape,
                    const float* dy, size_t m, size_t ldy, float* dx, size_t ldx_gradient, const Dropout& dropout) {
  if (m == 0) return;
  BaseBackward(context, linear, {dy, m, ldy}, dx, ldx_gradient);
  LowRankBackward(context, linear, x, ldx, tape, dy, m, ldy, dx, ldx_gradient, dropout);
}

}  // namespace qad

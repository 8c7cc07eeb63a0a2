// Products of one and of 256 rows with a matrix in each runtime layout, and attention to a cache in those that it may
// have, on each SIMD target of this CPU, by one thread. Weights are streamed from memory once per product, as in
// decoding: each product takes the next of many copies. Each is compared with the reference before it is timed. Beside
// them what one thread can do at most: reading, and dense products in f32, bf16 and int8. bench/kernels.py makes a
// table of it.
//
//   build/release/bench/bench_micro [--benchmark_filter=int4.*AVX3]
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/huge_pages.h"
#include "kernels/matrix_testing.h"
#include "kernels/panels_bf16.h"
#include "kernels/targets.h"
#include "kernels/targets_testing.h"
#include "ops/attention.h"
#include "ops/ceilings.h"

namespace qad {
namespace {

constexpr size_t kRows = 4096, kCols = 1536, kMostRows = 256;
constexpr size_t kStreamedBytes = size_t{256} << 20;  // of all copies of a matrix: more than caches hold

// Copies of the weights of one matrix at a time.
class Copies {
 public:
  explicit Copies(const MatrixView& of) : view_(of) {
    code_bytes_ = LayoutRows(of.layout, of.rows) * of.stride_bytes;
    scale_bytes_ = of.block_scales == nullptr
                       ? 0
                       : LayoutRows(of.layout, of.rows) * LayoutScaleBytes(of.layout, of.cols, of.group_shift);
    stride_ = (code_bytes_ + scale_bytes_ + 63) / 64 * 64;
    for (size_t i = 0; i < count(); ++i) {
      std::byte* at = memory_.get() + i * stride_;
      std::copy_n(of.codes, code_bytes_, at);
      if (scale_bytes_ > 0) std::copy_n(of.block_scales, scale_bytes_, at + code_bytes_);
    }
  }
  MatrixView Next() {
    MatrixView view = view_;
    view.codes = memory_.get() + next_ * stride_;
    if (scale_bytes_ > 0) view.block_scales = view.codes + code_bytes_;
    next_ = (next_ + 1) % count();
    return view;
  }
  size_t bytes() const { return code_bytes_ + scale_bytes_; }

 private:
  size_t count() const { return kStreamedBytes / stride_; }
  MatrixView view_;
  HugeBytes memory_ = AllocateHuge(kStreamedBytes);  // as weights lie
  size_t code_bytes_, scale_bytes_, stride_, next_ = 0;
};

enum class Product { kExact, kInt8, kPanels, kParts };
constexpr const char* kNames[] = {"/exact/", "/int8 activations/", "/bf16 panels/", "/f32 in three bf16 panels/"};
constexpr double kTolerances[] = {1e-6, 2e-3, 2e-3, 2e-5};  // of the sum of the products' sizes

struct Fixture {
  RandomMatrix matrix;
  std::vector<float> x = Normals(kMostRows * kCols, 3), y = std::vector<float>(kMostRows * kRows);
  std::vector<int8_t> codes = std::vector<int8_t>(kMostRows * kCols);
  std::vector<float> pairs = std::vector<float>(2 * kMostRows * kCols / kBlock);
  std::vector<int32_t> shifts = std::vector<int32_t>(2 * kMostRows * kCols / kBlock);

  std::vector<uint16_t> x16 = std::vector<uint16_t>(kMostRows * kCols);
  std::vector<uint16_t> x16_rest = std::vector<uint16_t>(kMostRows * kCols);
  std::vector<uint16_t> panels = std::vector<uint16_t>(2 * PanelValues(kCols));

  explicit Fixture(Layout layout) : matrix(layout, kRows, kCols) {}

  void Exact(const MatrixView& w, size_t count) { DotRows(w, 0, kRows, x.data(), count, kCols, y.data(), kRows); }
  void Int8(const MatrixView& w, size_t count) {
    constexpr size_t kBlocks = kCols / kBlock;
    const QuantizedRows rows{codes.data(), pairs.data(), shifts.data(), count, kBlocks};
    for (size_t m = 0; m < count; ++m) QuantizeActivations(x.data() + m * kCols, kCols, rows, m);
    DotRowsInt8(w, 0, kRows, rows, y.data(), kRows);
  }
  // As ops/ multiplies many rows: panels decoded and used at once.
  void Panels(const MatrixView& w, size_t count) {
    ConvertToBF16(x.data(), x16.data(), count * kCols);
    for (size_t row = 0; row < kRows; row += 2 * kTileRows) {
      const uint16_t* first = DecodeBF16Panel(w, row, panels.data());
      DecodeBF16Panel(w, row + kTileRows, panels.data() + PanelValues(kCols));
      MultiplyPanels(BF16Product{.x = x16.data(),
                                 .count = count,
                                 .ldx = kCols,
                                 .words = kCols / 2,
                                 .panels = first,
                                 .from_memory = first != panels.data(),
                                 .outputs = 2 * kTileRows,
                                 .scales = w.row_scales == nullptr ? nullptr : w.row_scales + row,
                                 .y = y.data() + row,
                                 .ldy = kRows});
    }
  }
  // As ops/ multiplies f32 by f32 in three products: what is lost is the product of both rests.
  void Parts(const MatrixView& w, size_t count) {
    SplitToBF16(x.data(), x16.data(), x16_rest.data(), count * kCols);
    uint16_t *high = panels.data(), *rest = high + PanelValues(kCols);
    for (size_t row = 0; row < kRows; row += kTileRows) {
      DecodeBF16Panel(w, row, high);
      DecodeBF16Rest(w, row, rest);
      BF16Product product{.x = x16.data(),
                          .count = count,
                          .ldx = kCols,
                          .words = kCols / 2,
                          .panels = high,
                          .outputs = kTileRows,
                          .y = y.data() + row,
                          .ldy = kRows};
      MultiplyPanels(product);
      product.accumulate = true;
      product.panels = rest;
      MultiplyPanels(product);
      product.x = x16_rest.data();
      product.panels = high;
      MultiplyPanels(product);
    }
  }
  void Run(Product product, const MatrixView& w, size_t count) {
    if (product == Product::kExact) Exact(w, count);
    if (product == Product::kInt8) Int8(w, count);
    if (product == Product::kPanels) Panels(w, count);
    if (product == Product::kParts) Parts(w, count);
  }
  // int8 activations: half a step of max/127 each, as random signs; exact: rounding only.
  void Compare(size_t count, Product product) const {
    for (size_t m = 0; m < count; ++m)
      for (size_t r = 0; r < kRows; r += 97) {
        const auto [dot, size] = matrix.Product(r, x.data() + m * kCols);
        const double error = std::fabs(static_cast<double>(y[m * kRows + r]) - dot);
        if (!(error <= size * kTolerances[static_cast<int>(product)])) {
          std::fprintf(stderr, "%s on %s: row %zu is %g, the reference says %g\n", LayoutName(matrix.view().layout),
                       CurrentTarget().c_str(), r, static_cast<double>(y[m * kRows + r]), dot);
          std::exit(1);
        }
      }
  }
};

void Count(benchmark::State& state, double operations) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::OneK::kIs1000);
}

void Time(benchmark::State& state, const std::shared_ptr<Fixture>& fixture, const std::string& target, size_t count,
          Product kind) {
  ForceTarget(target);
  Copies copies(fixture->matrix.view());
  fixture->Run(kind, copies.Next(), count);
  fixture->Compare(count, kind);
  for (auto _ : state) {
    fixture->Run(kind, copies.Next(), count);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(copies.bytes()) * state.iterations());
  Count(state, 2.0 * kRows * kCols * static_cast<double>(count));
  ForceTarget("auto");
}

// In double, of keys and values of `positions` each, a head's one after another.
void CompareAttention(const RandomMatrix& both, const AttentionShape& shape, size_t positions,
                      const std::vector<float>& q, const std::vector<float>& out) {
  for (size_t head = 0; head < shape.heads; ++head) {
    const size_t keys = head / shape.group() * positions, values = keys + shape.kv_heads * positions;
    std::vector<double> sums(shape.head_dim);
    double weights = 0, largest = 0;
    for (size_t p = 0; p < positions; ++p) {
      const auto [score, unused] = both.Product(keys + p, q.data() + head * shape.head_dim);
      const double weight = std::exp(score * static_cast<double>(shape.scale()));
      const std::vector<float> value = both.Row(values + p);
      weights += weight;
      for (size_t i = 0; i < shape.head_dim; ++i) {
        sums[i] += weight * static_cast<double>(value[i]);
        largest = std::max(largest, std::fabs(static_cast<double>(value[i])));
      }
    }
    for (size_t i = 0; i < shape.head_dim; ++i) {
      const auto got = static_cast<double>(out[head * shape.head_dim + i]);
      if (std::fabs(got - sums[i] / weights) <= 1e-4 * largest) continue;
      std::fprintf(stderr, "attention to %s on %s: head %zu is %g, the reference says %g\n",
                   LayoutName(both.view().layout), CurrentTarget().c_str(), head, got, sums[i] / weights);
      std::exit(1);
    }
  }
}

// What one token of SmolLM2's heads looks up in a cache of 8,192 positions: keys and values of each layer in turn.
void TimeAttention(benchmark::State& state, Layout layout, const std::string& target) {
  constexpr AttentionShape kShape{.heads = 9, .kv_heads = 3, .head_dim = 64};
  constexpr size_t kPositions = 8192;
  ForceTarget(target);
  const RandomMatrix matrix(layout, 2 * kShape.kv_heads * kPositions, kShape.head_dim);  // keys, then values
  Copies copies(matrix.view());
  const std::vector<float> q = Normals(kShape.heads * kShape.head_dim, 3);
  std::vector<float> out(q.size());
  Context one_thread(Numerics::kFast, 1);
  const auto run = [&] {
    const MatrixView both = copies.Next();
    const KvView keys{both.codes, layout, kPositions * both.stride_bytes, both.stride_bytes};
    KvView values = keys;
    values.data += kShape.kv_heads * keys.head_stride;
    const AttentionItem item{.q = q.data(),
                             .ldq = q.size(),
                             .count = 1,
                             .start = kPositions - 1,
                             .k = keys,
                             .v = values,
                             .out = out.data(),
                             .ldo = q.size()};
    AttentionForward(one_thread, kShape, {&item, 1});
  };
  run();
  CompareAttention(matrix, kShape, kPositions, q, out);
  for (auto _ : state) {
    run();
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(copies.bytes()) * state.iterations());
  Count(state, 4.0 * kPositions * kShape.heads * kShape.head_dim);
  ForceTarget("auto");
}

void TimeCeilings(benchmark::State& state, Numerics numerics) {
  Context context(numerics, 1);
  Ceilings ceilings;
  for (auto _ : state) ceilings = MeasureCeilings(context, kStreamedBytes);
  state.counters["GB/s"] = ceilings.gigabytes_per_second;
  const auto rate = [&](Products of) { return 1e9 * ceilings.gigaflops[static_cast<size_t>(of)]; };
  state.counters["GFLOP/s"] = rate(context.own_bf16() ? Products::kBF16 : Products::kF32);
  state.counters["int8 GFLOP/s"] = rate(Products::kInt8);
}

void Register() {
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    const bool bf16 = Context(numerics, 1).own_bf16();
    if (numerics == Numerics::kFast && !bf16) continue;
    benchmark::RegisterBenchmark(bf16 ? "ceiling/bf16" : "ceiling/f32", [=](benchmark::State& state) {
      TimeCeilings(state, numerics);
    })->Iterations(1);
  }
  for (const Layout layout : kAllLayouts) {
    const auto fixture = std::make_shared<Fixture>(layout);
    for (const std::string& target : SupportedTargets()) {
      ForceTarget(target);
      const bool panels = HasBF16Dot();
      ForceTarget("auto");
      for (const Product product : {Product::kExact, Product::kInt8, Product::kPanels, Product::kParts})
        for (const size_t count : {size_t{1}, kMostRows}) {
          if (product == Product::kInt8 && !IsInteger(layout)) continue;
          // Panels in place are for one row, too.
          if ((product == Product::kPanels || product == Product::kParts) && !panels) continue;
          if (product == Product::kParts && (layout != Layout::kF32 || count == 1)) continue;
          if (product == Product::kPanels && count == 1 && layout != Layout::kBF16Tile) continue;
          const std::string name = LayoutName(layout) + std::string(kNames[static_cast<int>(product)]) + target +
                                   "/rows:" + std::to_string(count);
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            Time(state, fixture, target, count, product);
          })->Unit(benchmark::kMicrosecond);
        }
    }
  }
  for (const Layout layout : {Layout::kF32, Layout::kF16, Layout::kBF16, Layout::kQ8_0, Layout::kQ4_0})
    for (const std::string& target : SupportedTargets())
      benchmark::RegisterBenchmark((LayoutName(layout) + std::string("/attention/") + target + "/rows:1").c_str(),
                                   [=](benchmark::State& state) { TimeAttention(state, layout, target); })
          ->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  qad::Register();
  benchmark::RunSpecifiedBenchmarks();
}

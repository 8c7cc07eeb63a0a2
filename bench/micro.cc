// Products of one and of 64 rows with a matrix in each runtime layout, on each SIMD target of this CPU: weights are
// streamed from memory once per product, as in decoding. Each is compared with the reference before it is timed.
//
//   build/release/bench/bench_micro [--benchmark_filter=int4.*AVX3]
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "kernels/matrix_testing.h"
#include "kernels/panels_bf16.h"
#include "kernels/targets.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

constexpr size_t kRows = 4096, kCols = 1536, kMostRows = 64;

enum class Product { kExact, kInt8, kPanels };
constexpr const char* kNames[] = {"/exact/", "/int8 activations/", "/bf16 panels/"};

struct Fixture {
  RandomMatrix matrix;
  std::vector<float> x = Normals(kMostRows * kCols, 3), y = std::vector<float>(kMostRows * kRows);
  std::vector<int8_t> codes = std::vector<int8_t>(kMostRows * kCols);
  std::vector<float> pairs = std::vector<float>(2 * kMostRows * kCols / kBlock);
  std::vector<int32_t> shifts = std::vector<int32_t>(2 * kMostRows * kCols / kBlock);

  std::vector<uint16_t> x16 = std::vector<uint16_t>(kMostRows * kCols);
  std::vector<uint16_t> panels = std::vector<uint16_t>(2 * PanelValues(kCols));

  explicit Fixture(Layout layout) : matrix(layout, kRows, kCols) {}

  void Exact(size_t count) { DotRows(matrix.view(), 0, kRows, x.data(), count, kCols, y.data(), kRows); }
  void Int8(size_t count) {
    constexpr size_t kBlocks = kCols / kBlock;
    const QuantizedRows rows{codes.data(), pairs.data(), shifts.data(), count, kBlocks};
    for (size_t m = 0; m < count; ++m) QuantizeActivations(x.data() + m * kCols, kCols, rows, m);
    DotRowsInt8(matrix.view(), 0, kRows, rows, y.data(), kRows);
  }
  // As ops/ multiplies many rows: panels decoded and used at once.
  void Panels(size_t count) {
    ConvertToBF16(x.data(), x16.data(), count * kCols);
    for (size_t row = 0; row < kRows; row += 2 * kTileRows) {
      const uint16_t* first = DecodeBF16Panel(matrix.view(), row, panels.data());
      DecodeBF16Panel(matrix.view(), row + kTileRows, panels.data() + PanelValues(kCols));
      MultiplyPanels(
          BF16Product{.x = x16.data(),
                      .count = count,
                      .ldx = kCols,
                      .words = kCols / 2,
                      .panels = first,
                      .from_memory = first != panels.data(),
                      .outputs = 2 * kTileRows,
                      .scales = matrix.view().row_scales == nullptr ? nullptr : matrix.view().row_scales + row,
                      .y = y.data() + row,
                      .ldy = kRows});
    }
  }
  void Run(Product product, size_t count) {
    if (product == Product::kExact) Exact(count);
    if (product == Product::kInt8) Int8(count);
    if (product == Product::kPanels) Panels(count);
  }
  // int8 activations: half a step of max/127 each, as random signs; exact: rounding only.
  void Compare(size_t count, Product product) const {
    for (size_t m = 0; m < count; ++m)
      for (size_t r = 0; r < kRows; r += 97) {
        const auto [dot, size] = matrix.Product(r, x.data() + m * kCols);
        const double error = std::fabs(static_cast<double>(y[m * kRows + r]) - dot);
        if (!(error <= size * (product == Product::kExact ? 1e-6 : 2e-3))) {
          std::fprintf(stderr, "%s on %s: row %zu is %g, the reference says %g\n", LayoutName(matrix.view().layout),
                       CurrentTarget().c_str(), r, static_cast<double>(y[m * kRows + r]), dot);
          std::exit(1);
        }
      }
  }
};

void Time(benchmark::State& state, const std::shared_ptr<Fixture>& fixture, const std::string& target, size_t count,
          Product kind) {
  ForceTarget(target);
  const auto product = [&] { fixture->Run(kind, count); };
  product();
  fixture->Compare(count, kind);
  for (auto _ : state) {
    product();
    benchmark::ClobberMemory();
  }
  const MatrixView view = fixture->matrix.view();
  const size_t bytes = kRows * (view.stride_bytes + LayoutScaleBytes(view.layout, kCols, view.group_shift));
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
  state.counters["GFLOP/s"] =
      benchmark::Counter(static_cast<double>(2 * kRows * kCols * count), benchmark::Counter::kIsIterationInvariantRate,
                         benchmark::Counter::OneK::kIs1000);
  ForceTarget("auto");
}

void Register() {
  for (const Layout layout : kAllLayouts) {
    const auto fixture = std::make_shared<Fixture>(layout);
    for (const std::string& target : SupportedTargets())
      for (const Product product : {Product::kExact, Product::kInt8, Product::kPanels})
        for (const size_t count : {size_t{1}, kMostRows}) {
          if (product == Product::kInt8 && !IsInteger(layout)) continue;
          // Panels in place are for one row, too.
          if (product == Product::kPanels && (!HasBF16Dot() || target != SupportedTargets().front())) continue;
          if (product == Product::kPanels && count == 1 && layout != Layout::kBF16Tile) continue;
          const std::string name = LayoutName(layout) + std::string(kNames[static_cast<int>(product)]) + target +
                                   "/rows:" + std::to_string(count);
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            Time(state, fixture, target, count, product);
          })->Unit(benchmark::kMicrosecond);
        }
  }
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  qad::Register();
  benchmark::RunSpecifiedBenchmarks();
}

#include "ops/ceilings.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "base/error.h"
#include "base/huge_pages.h"
#include "kernels/elementwise.h"
#include "kernels/panels_bf16.h"
#include "ops/matmul.h"

namespace qad {
namespace {

using Clock = std::chrono::steady_clock;

double Best(const std::function<void()>& work) {
  constexpr int kTries = 20;
  double best = 1e300;
  for (int i = 0; i < kTries; ++i) {
    const auto start = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

double ReadRate(size_t bytes) {
  constexpr size_t kPiece = 1 << 14;           // floats a thread reads at a time, as rows of weights are
  constexpr size_t kMost = size_t{256} << 20;  // larger buffers are no slower to read, and may not fit
  const size_t pieces = std::max<size_t>(std::min(bytes, kMost) / (kPiece * sizeof(float)), 1);
  const size_t size = pieces * kPiece * sizeof(float);
  const HugeBytes memory = AllocateHuge(size);  // as weights lie
  auto* buffer = reinterpret_cast<float*>(memory.get());
  std::vector<float> largest(pieces);
  const auto for_pieces = [&](const auto& work) {
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < static_cast<int64_t>(pieces); ++p) work(static_cast<size_t>(p));
  };
  for_pieces([&](size_t p) { std::fill_n(buffer + p * kPiece, kPiece, 1.0f); });
  const double seconds =
      Best([&] { for_pieces([&](size_t p) { largest[p] = Largest(buffer + p * kPiece, kPiece); }); });
  return static_cast<double>(size) / seconds * 1e-9;
}

// Panels and activations that stay in each core's own cache, and begin with a line of it as a context's do: rows of
// tiles that lie across two take twice as long.
double PanelRate(int threads) {
  constexpr size_t kRows = 96, kPairs = 256, kOutputs = 2 * kTileRows, kRepeat = 400;
  constexpr size_t kInputs = kRows * 2 * kPairs, kWeights = kOutputs * 2 * kPairs;
  const HugeBytes memory = AllocateHuge((kInputs + kWeights) * sizeof(uint16_t));
  auto* x = reinterpret_cast<uint16_t*>(memory.get());
  const uint16_t* panels = x + kInputs;
  std::fill_n(x, kInputs + kWeights, uint16_t{0x3f80});  // ones
  std::vector<float> y(static_cast<size_t>(threads) * kRows * kOutputs);
  const double seconds = Best([&] {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; ++t)
      for (size_t i = 0; i < kRepeat; ++i)
        MultiplyPanels(BF16Product{.x = x,
                                   .count = kRows,
                                   .ldx = 2 * kPairs,
                                   .words = kPairs,
                                   .panels = panels,
                                   .outputs = kOutputs,
                                   .y = y.data() + static_cast<size_t>(t) * kRows * kOutputs,
                                   .ldy = kOutputs});
  });
  return 2.0 * threads * kRepeat * kRows * kOutputs * 2 * kPairs / seconds * 1e-9;
}

// Rows enough that every thread gets as much of them.
double MatmulRate(Context& context, MatmulType type) {
  constexpr size_t kSize = 512;
  const size_t rows = kSize * static_cast<size_t>(context.threads);
  const std::vector<float> a(rows * kSize, 1.0f), b(kSize * kSize, 1.0f);  // of bf16 the first half, numbers as well
  std::vector<float> c(rows * kSize);
  MatmulArguments product{
      .type = type, .m = rows, .n = kSize, .k = kSize, .a = a.data(), .lda = kSize, .b = b.data(), .ldb = kSize};
  product.c = c.data();
  product.ldc = kSize;
  const double seconds = Best([&] { context.matmul().Run(product); });
  return 2.0 * static_cast<double>(rows) * kSize * kSize / seconds * 1e-9;
}

// A product of its own for every thread: a common one leaves some of them waiting.
double Int8Rate(int threads) {
  constexpr dnnl_dim_t kSize = 512;
  constexpr size_t kElements = static_cast<size_t>(kSize * kSize);
  const std::vector<uint8_t> a(kElements, 1);
  const std::vector<int8_t> b(kElements, 1);
  std::vector<int32_t> c(kElements * static_cast<size_t>(threads));
  const int32_t offset = 0;
  const double seconds = Best([&] {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; ++t)
      QAD_CHECK(dnnl_gemm_u8s8s32('N', 'N', 'F', kSize, kSize, kSize, 1, a.data(), kSize, 0, b.data(), kSize, 0, 0,
                                  c.data() + static_cast<size_t>(t) * kElements, kSize, &offset) == dnnl_success);
  });
  return 2.0 * threads * static_cast<double>(kElements) * static_cast<double>(kSize) / seconds * 1e-9;
}

}  // namespace

Ceilings MeasureCeilings(Context& context, size_t bytes) {
  const double bf16 =
      context.own_bf16() ? std::max(PanelRate(context.threads), MatmulRate(context, MatmulType::kBF16)) : 0;
  return {ReadRate(bytes), {MatmulRate(context, MatmulType::kF32), bf16, Int8Rate(context.threads)}};
}

}  // namespace qad

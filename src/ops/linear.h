// y = x Wᵀ + bias + Σ adapters, W in any runtime layout. Forward stands above backward.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/huge_pages.h"
#include "kernels/matrix.h"
#include "ops/context.h"

namespace qad {

// LoRA (Hu et al. 2021, eq. 3) on a range of a linear's outputs: y[first …] += scale · B (A x).
// A is (rank, in), B is (outputs, rank), row-major f32. Gradients, where given, have the same shapes and are added to.
struct LowRank {
  size_t first = 0, outputs = 0, rank = 0;
  float scale = 1;
  const float* a = nullptr;
  const float* b = nullptr;
  // Both in bf16, or null, b as (rank, outputs): what few rows are multiplied by in fast mode, of half the bytes.
  struct {
    const uint16_t *a = nullptr, *b = nullptr;
  } rounded = {};
  float* a_gradient = nullptr;
  float* b_gradient = nullptr;
};

// A view: parts are stacked along the outputs (q, k, v of a fused product may have different layouts).
struct Linear {
  size_t in = 0, out = 0;
  std::vector<MatrixView> parts;
  std::vector<const float*> biases;  // one per part, (part's rows), null where there is none
  std::vector<LowRank> adapters;
};

// Weights in f32 that are multiplied in parts (Context::f32_in_parts), taken apart once for many products: the linear
// refers to it. Empty where they are multiplied otherwise. Errors (kFailed): no memory.
struct PreparedParts {
  std::vector<HugeBytes> panels;
  size_t bytes = 0;
};
void PrepareParts(const Context& context, Linear& linear, PreparedParts& prepared);

// Dropout on the input of an adapter: multiplied by 0 or 1/(1 − p), drawn from (seed, stream, element).
struct Dropout {
  float p = 0;
  uint64_t seed = 0, stream = 0;
};

// What backward needs of an adapter's forward: x·Aᵀ of every adapter, one after another, each (m, rank).
size_t LowRankTapeFloats(const Linear& linear, size_t m);

// What so many rows and weights of this layout are multiplied in.
enum class Products : uint8_t { kF32, kBF16, kInt8 };
inline constexpr std::array<const char*, 3> kProductsNames = {"f32", "bf16", "int8"};
Products ProductsOf(const Context& context, const MatrixView& weights, size_t rows);

// x (m, in) with row stride ldx → y (m, out) with ldy; added to y where `accumulate`.
void LinearForward(Context& context, const Linear& linear, const float* x, size_t m, size_t ldx, float* y, size_t ldy,
                   bool accumulate, const Dropout& dropout = {}, float* tape = nullptr);
// dx (m, in) += dy W + adapters' share; adapters' gradients are added to. x is the forward's input.
void LinearBackward(Context& context, const Linear& linear, const float* x, size_t ldx, const float* tape,
                    const float* dy, size_t m, size_t ldy, float* dx, size_t ldx_gradient, const Dropout& dropout = {});

}  // namespace qad

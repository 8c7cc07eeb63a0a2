// Dense products by oneDNN 2.6 (matmul primitive, v2 API), with a cache of primitives by shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace qad {

enum class MatmulType : uint8_t { kF32, kBF16 };  // of both inputs; the output is f32

// c (m, n) [+]= a (m, k) · B, where B is b (n, k) transposed where `b_transposed` (a weight matrix, forward) or b (k,
// n) as it stands (backward). Row strides in elements. Deterministic; with AVX-512 equal for any number of threads
// (without it oneDNN may split the inner dimension among them).
struct MatmulArguments {
  MatmulType type = MatmulType::kF32;
  size_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  size_t lda = 0;
  const void* b = nullptr;
  size_t ldb = 0;
  bool b_transposed = true;
  float* c = nullptr;
  size_t ldc = 0;
  bool accumulate = false;
};

class MatmulEngine {
 public:
  MatmulEngine();
  ~MatmulEngine();
  void Run(const MatmulArguments& arguments);
  bool has_bf16() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qad

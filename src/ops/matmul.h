// Dense products of many rows: by oneDNN 2.6 (matmul primitive, v2 API) where the CPU has AVX-512, with a cache of
// primitives by shape; else by OpenBLAS in pieces that are cut by shape alone, because oneDNN then splits sums among
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace qad {

enum class MatmulType : uint8_t { kF32, kBF16 };  // of both inputs; the output is f32

// c (m, n) [+]= a (m, k) · B, where B is b (n, k) transposed where `b_transposed` (a weight matrix, forward) or b (k,
// n) as it stands (backward). Row strides in elements. Equal for any number of threads. kBF16 only where has_bf16().
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
  // Whether each shape costs time when it first comes.
  bool compiles_shapes() const { return compiles_shapes_; }

 private:
  struct Impl;
  bool compiles_shapes_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qad

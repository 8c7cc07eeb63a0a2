// Small dense products inside parallel regions, by OpenBLAS. For operations only.
#pragma once

#include <cblas.h>

#include <cstddef>

namespace qad {

// Row-major c (m, n) = alpha · op(a) op(b) + beta · c, with row strides. Called inside a parallel region, where
// OpenBLAS stays on its thread.
inline void Gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha, const float* a,
                 size_t lda, const float* b, size_t ldb, float beta, float* c, size_t ldc) {
  const auto blas = [](size_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, blas(m),
              blas(n), blas(k), alpha, a, blas(lda), b, blas(ldb), beta, c, blas(ldc));
}

}  // namespace qad

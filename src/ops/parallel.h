// Row-wise operations in parallel. For operations only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

inline constexpr size_t kMinParallelValues = 1
                                             << 13;  // values of a row-wise operation that are worth a parallel region

// Calls work(r) for each of `rows` rows of `width` values. Rows must not depend on each other.
template <typename Work>
void ForEachRow(size_t rows, size_t width, const Work& work) {
#pragma omp parallel for schedule(static) if (rows * width >= kMinParallelValues)
  for (int64_t r = 0; r < static_cast<int64_t>(rows); ++r) work(static_cast<size_t>(r));
}

}  // namespace qad

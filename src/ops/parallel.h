// When and how operations run in parallel. For operations only.
#pragma once

#include <omp.h>

#include <cstddef>
#include <cstdint>

namespace qad {

// Values of a row-wise operation that are worth a parallel region.
inline constexpr size_t kMinParallelValues = 1 << 13;

// Below this many multiplications of a product a parallel region costs more than it saves. Serial and parallel cut the
// work alike.
inline constexpr size_t kMinParallelWork = 1 << 18;
// Outputs of narrow matrices cost as much as those of 4 inputs: they have to be written.
inline bool Pays(size_t outputs, size_t inputs, size_t count) {
  return outputs * (inputs > 4 ? inputs : 4) * count >= kMinParallelWork;
}

// Of a parallel region that begins here: one within another, as of a Context::ForOneThread.
inline size_t RegionThreads() { return omp_in_parallel() ? 1 : static_cast<size_t>(omp_get_max_threads()); }

// Calls work(r) for each of `rows` rows of `width` values. Rows must not depend on each other.
template <typename Work>
void ForEachRow(size_t rows, size_t width, const Work& work) {
#pragma omp parallel for schedule(static) if (rows * width >= kMinParallelValues)
  for (int64_t r = 0; r < static_cast<int64_t>(rows); ++r) work(static_cast<size_t>(r));
}

}  // namespace qad

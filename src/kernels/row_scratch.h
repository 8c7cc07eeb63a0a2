// Room for one decoded row, each thread's own.
#pragma once

#include <cstddef>
#include <vector>

#include "base/error.h"

namespace qad {

// Overwritten by the next call of the same thread.
inline float* RowScratch(size_t cols) {
  constexpr size_t kMostCols = size_t{1} << 20;
  QAD_CHECK(cols <= kMostCols);
  static thread_local std::vector<float> scratch;
  if (scratch.size() < cols) scratch.resize(cols);
  return scratch.data();
}

}  // namespace qad

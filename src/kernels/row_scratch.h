// Room for decoded rows, each thread's own.
#pragma once

#include <cstddef>
#include <vector>

#include "base/error.h"

namespace qad {

// Overwritten by the next call of the same thread.
inline float* RowScratch(size_t values) {
  constexpr size_t kMostValues = size_t{1} << 22;
  QAD_CHECK(values <= kMostValues);
  static thread_local std::vector<float> scratch;
  if (scratch.size() < values) scratch.resize(values);
  return scratch.data();
}

}  // namespace qad

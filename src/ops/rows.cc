#include "ops/rows.h"

#include <cstring>

namespace qad {

void GatherRows(const float* x, std::span<const size_t> rows, size_t width, float* out) {
  for (const size_t row : rows) {
    std::memcpy(out, x + row * width, width * sizeof(float));
    out += width;
  }
}

void ScatterRows(const float* x, std::span<const size_t> rows, size_t width, float* out) {
  for (const size_t row : rows) {
    std::memcpy(out + row * width, x, width * sizeof(float));
    x += width;
  }
}

void Scale(float* x, float factor, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace qad

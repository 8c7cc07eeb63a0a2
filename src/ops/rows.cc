#include "ops/rows.h"

#include <cstring>

#include "kernels/matrix.h"
#include "ops/parallel.h"

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

void RoundRowsToBF16(Context& context, float* x, size_t rows, size_t width, uint16_t* out) {
  const ScopedTimer timer(context, Timed::kTape);
  ForEachRow(rows, width, [&](size_t r) {
    ConvertToBF16(x + r * width, out + r * width, width);
    ConvertFromBF16(out + r * width, x + r * width, width);
  });
}

void WidenRows(Context& context, const uint16_t* x, size_t rows, size_t width, float* out) {
  const ScopedTimer timer(context, Timed::kTape);
  ForEachRow(rows, width, [&](size_t r) { ConvertFromBF16(x + r * width, out + r * width, width); });
}

void Scale(float* x, float factor, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace qad

// The reference of attention's tests, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/testing.h"
#include "kernels/targets_testing.h"
#include "ops/attention.h"

namespace qad {

using Doubles = std::vector<double>;

// One sequence: `start` remembered positions and `count` new ones, each of which sees those before it, or all.
struct Sequence {
  AttentionShape shape;
  size_t start, count;
  bool both_ways;
  Doubles q, k, v;  // (count, heads·dim), (start + count, kv_heads·dim)

  Sequence(const AttentionShape& s, size_t from, size_t n, uint64_t stream, bool all = false)
      : shape(s), start(from), count(n), both_ways(all) {
    const auto fill = [&](size_t size, uint64_t which, double deviation) {
      const auto values = Normals(size, stream * 3 + which, deviation);
      return Doubles(values.begin(), values.end());
    };
    q = fill(count * shape.heads * shape.head_dim, 0, 2);
    k = fill((start + count) * shape.kv_heads * shape.head_dim, 1, 1);
    v = fill(k.size(), 2, 1);
  }

  size_t Visible(size_t t) const { return both_ways ? start + count : start + t + 1; }

  // (count, heads·dim)
  Doubles Attend() const {
    const size_t dim = shape.head_dim, width = shape.heads * dim, kv_width = shape.kv_heads * dim;
    Doubles out(count * width);
    for (size_t t = 0; t < count; ++t)
      for (size_t h = 0; h < shape.heads; ++h) {
        const size_t kv = h / shape.group() * dim, visible = Visible(t);
        Doubles p(visible);
        double top = -1e300, sum = 0;
        for (size_t j = 0; j < visible; ++j) {
          for (size_t i = 0; i < dim; ++i) p[j] += q[t * width + h * dim + i] * k[j * kv_width + kv + i];
          p[j] /= std::sqrt(static_cast<double>(dim));
          top = std::max(top, p[j]);
        }
        for (double& x : p) sum += x = std::exp(x - top);
        for (size_t j = 0; j < visible; ++j)
          for (size_t i = 0; i < dim; ++i) out[t * width + h * dim + i] += p[j] / sum * v[j * kv_width + kv + i];
      }
    return out;
  }
};

inline constexpr AttentionShape kShapes[] = {{1, 1, 1}, {2, 2, 5}, {3, 1, 64}, {4, 2, 16}, {9, 3, 8}, {2, 1, 33}};

}  // namespace qad

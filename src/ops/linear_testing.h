// A linear with biases and adapters, and its reference in double. For tests of operations.
#pragma once

#include "kernels/matrix_testing.h"
#include "kernels/targets_testing.h"
#include "ops/linear.h"

namespace qad {

using Doubles = std::vector<double>;

// A linear of several parts with biases and adapters, and the same in double.
struct Layer {
  std::vector<RandomMatrix> parts;
  std::vector<std::vector<float>> biases;
  std::vector<std::vector<float>> a, b, da, db;
  Linear linear;

  Layer(const std::vector<Layout>& layouts, size_t in, size_t rows, bool bias, bool adapted, size_t rank = 3) {
    linear.in = in;
    for (size_t p = 0; p < layouts.size(); ++p) {
      const size_t outputs = rows + p;
      parts.emplace_back(layouts[p], outputs, in, p + 1);
      biases.push_back(Normals(outputs, 50 + p));
      linear.out += outputs;
    }
    for (size_t p = 0; p < parts.size(); ++p) {
      linear.parts.push_back(parts[p].view());
      linear.biases.push_back(bias && p != 1 ? biases[p].data() : nullptr);
    }
    if (!adapted) return;
    Adapt(0, parts[0].view().rows, rank, 0.5f);
    Adapt(linear.out - 1, 1, 1, 2);
    for (size_t i = 0; i < a.size(); ++i) {
      linear.adapters[i].a = a[i].data();
      linear.adapters[i].b = b[i].data();
      linear.adapters[i].a_gradient = da[i].data();
      linear.adapters[i].b_gradient = db[i].data();
    }
  }
  void Adapt(size_t first, size_t outputs, size_t rank, float scale) {
    a.push_back(Normals(rank * linear.in, 70 + first));
    b.push_back(Normals(outputs * rank, 80 + first));
    da.emplace_back(a.back().size(), 0.25f);
    db.emplace_back(b.back().size(), 0.25f);
    linear.adapters.push_back(
        {.first = first, .outputs = outputs, .rank = rank, .scale = scale, .a = nullptr, .b = nullptr});
  }

  // y of the whole layer; `size`, where given, the largest Σ|terms| of an output.
  Doubles Forward(const Doubles& x, size_t m, const Dropout& dropout, double* size = nullptr) const {
    const size_t in = linear.in, out = linear.out;
    Doubles y(m * out);
    for (size_t t = 0; t < m; ++t) {
      const std::vector<float> row(x.begin() + static_cast<std::ptrdiff_t>(t * in),
                                   x.begin() + static_cast<std::ptrdiff_t>((t + 1) * in));
      size_t first = 0;
      for (size_t p = 0; p < parts.size(); ++p) {
        for (size_t r = 0; r < parts[p].view().rows; ++r) {
          const auto weights = parts[p].Row(r);
          double sum = linear.biases[p] != nullptr ? static_cast<double>(biases[p][r]) : 0, terms = std::fabs(sum);
          for (size_t i = 0; i < in; ++i) {
            sum += static_cast<double>(weights[i]) * x[t * in + i];
            terms += std::fabs(static_cast<double>(weights[i]) * x[t * in + i]);
          }
          y[t * out + first + r] = sum;
          if (size != nullptr) *size = std::max(*size, terms);
        }
        first += parts[p].view().rows;
      }
      for (size_t k = 0; k < a.size(); ++k) AddAdapter(x, t, k, dropout, y.data() + t * out);
    }
    return y;
  }
  void AddAdapter(const Doubles& x, size_t t, size_t k, const Dropout& dropout, double* y) const {
    const LowRank& adapter = linear.adapters[k];
    for (size_t r = 0; r < adapter.rank; ++r) {
      double z = 0;
      for (size_t i = 0; i < linear.in; ++i) {
        const bool dropped =
            RandomUniform(dropout.seed, dropout.stream, t * linear.in + i) < static_cast<double>(dropout.p);
        const double factor = dropout.p <= 0 ? 1 : dropped ? 0 : 1 / (1 - static_cast<double>(dropout.p));
        z += static_cast<double>(a[k][r * linear.in + i]) * x[t * linear.in + i] * factor;
      }
      for (size_t o = 0; o < adapter.outputs; ++o)
        y[adapter.first + o] +=
            static_cast<double>(adapter.scale) * static_cast<double>(b[k][o * adapter.rank + r]) * z;
    }
  }
};

inline std::vector<float> RunForward(Context& context, const Layer& layer, const std::vector<float>& x, size_t m,
                                     bool accumulate, const Dropout& dropout, std::vector<float>* tape) {
  const size_t ldx = layer.linear.in, ldy = layer.linear.out + 2;
  std::vector<float> y(m * ldy, 0.5f);
  tape->assign(LowRankTapeFloats(layer.linear, m), 0);
  LinearForward(context, layer.linear, x.data(), m, ldx, y.data(), ldy, accumulate, dropout, tape->data());
  return y;
}

}  // namespace qad

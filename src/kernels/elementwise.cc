#include "kernels/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// Calls body(tag, i) for whole vectors, then with a one-lane tag for the rest: the same code serves both.
template <class Body>
HWY_INLINE void ForEach(size_t n, Body&& body) {
  const Wide wide;
  size_t i = 0;
  for (const size_t step = hn::Lanes(wide); i + step <= n; i += step) body(wide, i);
  for (const One one; i < n; ++i) body(one, i);
}

// Sum over i of term(tag, i) in f32, two accumulators wide.
template <class Term>
HWY_INLINE float SumOf(size_t n, Term&& term) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    sum0 = hn::Add(sum0, term(d, i));
    sum1 = hn::Add(sum1, term(d, i + step));
  }
  for (; i + step <= n; i += step) sum0 = hn::Add(sum0, term(d, i));
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (const One one; i < n; ++i) total += hn::GetLane(term(one, i));
  return total;
}

float RmsNorm(const float* x, const float* gain, float eps, float* out, size_t n) {
  const float squares = SumOf(n, [&](auto d, size_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    return hn::Mul(v, v);
  });
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse));
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, gain + i)), d, out + i);
  });
  return inverse;
}

// With r = inverse_rms and g = gain·d_out: dx = r·g − x·r³·mean(x·g).
void RmsNormBackward(const float* x, const float* gain, float inverse_rms, const float* d_out, float* dx, size_t n) {
  const float inner = SumOf(n, [&](auto d, size_t i) HWY_ATTR {
    return hn::Mul(hn::LoadU(d, x + i), hn::Mul(hn::LoadU(d, gain + i), hn::LoadU(d, d_out + i)));
  });
  const float shift = inner / static_cast<float>(n) * inverse_rms * inverse_rms * inverse_rms;
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, gain + i), hn::LoadU(d, d_out + i));
    auto value = hn::MulAdd(g, hn::Set(d, inverse_rms), hn::LoadU(d, dx + i));
    value = hn::NegMulAdd(hn::LoadU(d, x + i), hn::Set(d, shift), value);
    hn::StoreU(value, d, dx + i);
  });
}

// Mean first, then the variance of the centred values: one pass would cancel.
void LayerNorm(const float* x, const float* gain, const float* bias, float eps, float* out, size_t n, float* mean,
               float* inverse) {
  *mean = SumOf(n, [&](auto d, size_t i) HWY_ATTR { return hn::LoadU(d, x + i); }) / static_cast<float>(n);
  const float variance = SumOf(n, [&](auto d, size_t i) HWY_ATTR {
    const auto v = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, *mean));
    return hn::Mul(v, v);
  });
  *inverse = 1.0f / std::sqrt(variance / static_cast<float>(n) + eps);
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + i), hn::Set(d, *mean)), hn::Set(d, *inverse));
    hn::StoreU(hn::MulAdd(v, hn::LoadU(d, gain + i), hn::LoadU(d, bias + i)), d, out + i);
  });
}

// With h = (x − mean)·r and g = gain·d_out: dx = r·(g − mean(g) − h·mean(g·h)).
void LayerNormBackward(const float* x, const float* gain, float mean, float inverse, const float* d_out, float* dx,
                       size_t n) {
  const auto normal = [&](auto d, size_t i) HWY_ATTR {
    return hn::Mul(hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean)), hn::Set(d, inverse));
  };
  const auto weighted = [&](auto d, size_t i)
                            HWY_ATTR { return hn::Mul(hn::LoadU(d, gain + i), hn::LoadU(d, d_out + i)); };
  const float count = static_cast<float>(n);
  const float sum = SumOf(n, weighted) / count;
  const float inner =
      SumOf(n, [&](auto d, size_t i) HWY_ATTR { return hn::Mul(weighted(d, i), normal(d, i)); }) / count;
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    auto value = hn::Sub(weighted(d, i), hn::Set(d, sum));
    value = hn::NegMulAdd(normal(d, i), hn::Set(d, inner), value);
    hn::StoreU(hn::MulAdd(value, hn::Set(d, inverse), hn::LoadU(d, dx + i)), d, dx + i);
  });
}

// e^x, 0 below −104. Highway's Exp makes 0 of NaN, and a broken model must not look like a sure one.
template <class D, class V>
HWY_INLINE V ExpKeepingNan(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, hn::Max(x, hn::Set(d, -104.0f))));
}

template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  // e^88 is the last finite power: beyond it the quotient is 0 anyway.
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)))));
}

void SwiGlu(const float* gate, const float* up, float* out, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto z = hn::LoadU(d, gate + i);
    hn::StoreU(hn::Mul(hn::Mul(z, Sigmoid(d, z)), hn::LoadU(d, up + i)), d, out + i);
  });
}

// silu'(z) = s·(1 + z·(1 − s)), s = sigmoid(z).
void SwiGluBackward(const float* gate, const float* up, const float* d_out, float* d_gate, float* d_up, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto z = hn::LoadU(d, gate + i);
    const auto u = hn::LoadU(d, up + i);
    const auto dy = hn::LoadU(d, d_out + i);
    const auto s = Sigmoid(d, z);
    const auto slope = hn::Mul(s, hn::MulAdd(z, hn::Sub(one, s), one));
    hn::StoreU(hn::Mul(dy, hn::Mul(z, s)), d, d_up + i);
    hn::StoreU(hn::Mul(hn::Mul(dy, u), slope), d, d_gate + i);
  });
}

constexpr float kGeluScale = 0.7978845608028654f;  // sqrt(2/π)
constexpr float kGeluCubic = 0.044715f;

template <class D, class V>
HWY_INLINE V GeluTanhArgument(D d, V x) {
  const V cubic = hn::Mul(hn::Mul(hn::Mul(x, x), x), hn::Set(d, kGeluCubic));
  const V argument = hn::Mul(hn::Add(x, cubic), hn::Set(d, kGeluScale));
  const V bound = hn::Set(d, 15.0f);  // tanh is ±1 in f32 long before
  return hn::Tanh(d, hn::Max(hn::Min(argument, bound), hn::Neg(bound)));
}

// Φ(x) = (1 + erf(x/√2))/2; erf(z) ≈ 1 − (a₁t + … + a₅t⁵) e^(−z²), t = 1/(1 + p z), for z ≥ 0 to 1.5e-7 (Abramowitz and
// Stegun 1964, 7.1.26).
void Gelu(const float* x, float* out, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    const auto one = hn::Set(d, 1.0f);
    const auto z = hn::Mul(hn::Abs(v), hn::Set(d, 0.70710678118654752f));
    const auto t = hn::Div(one, hn::MulAdd(z, hn::Set(d, 0.3275911f), one));
    auto sum = hn::Set(d, 1.061405429f);
    for (const float a : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f})
      sum = hn::MulAdd(sum, t, hn::Set(d, a));
    const auto tail = hn::Mul(hn::Mul(sum, t), hn::Exp(d, hn::Neg(hn::Mul(z, z))));  // 1 − erf(z)
    const auto phi =
        hn::Mul(hn::Set(d, 0.5f), hn::IfThenElse(hn::Lt(v, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 2.0f), tail)));
    hn::StoreU(hn::Mul(v, phi), d, out + i);
  });
}

void GeluTanh(const float* x, float* out, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    const auto t = GeluTanhArgument(d, v);
    hn::StoreU(hn::Mul(hn::Mul(v, hn::Set(d, 0.5f)), hn::Add(t, hn::Set(d, 1.0f))), d, out + i);
  });
}

// d/dx = (1 + t)/2 + x/2·(1 − t²)·k·(1 + 3c·x²).
void GeluTanhBackward(const float* x, const float* d_out, float* dx, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto half = hn::Set(d, 0.5f);
    const auto v = hn::LoadU(d, x + i);
    const auto t = GeluTanhArgument(d, v);
    const auto inner = hn::Mul(hn::MulAdd(hn::Mul(v, v), hn::Set(d, 3 * kGeluCubic), one), hn::Set(d, kGeluScale));
    const auto rise = hn::Mul(hn::Mul(hn::Mul(v, half), hn::NegMulAdd(t, t, one)), inner);
    hn::StoreU(hn::Mul(hn::MulAdd(half, hn::Add(t, one), rise), hn::LoadU(d, d_out + i)), d, dx + i);
  });
}

float Largest(const float* x, size_t n) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  float largest = x[0];
  size_t i = 0;
  if (n >= step) {
    auto wide = hn::LoadU(d, x);
    for (i = step; i + step <= n; i += step) wide = hn::Max(wide, hn::LoadU(d, x + i));
    largest = hn::GetLane(hn::MaxOfLanes(d, wide));
  }
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// With sums of e^(p − max p) and e^(q − max q): Σ p (log p − log q) = Σ softmax(p)·(p − q) + lse(q) − lse(p).
double KlDivergence(const float* p, const float* q, size_t n) {
  const float top_p = Largest(p, n), top_q = Largest(q, n);
  const float sum_p = SumOf(
      n, [&](auto d, size_t i) HWY_ATTR { return ExpKeepingNan(d, hn::Sub(hn::LoadU(d, p + i), hn::Set(d, top_p))); });
  const float sum_q = SumOf(
      n, [&](auto d, size_t i) HWY_ATTR { return ExpKeepingNan(d, hn::Sub(hn::LoadU(d, q + i), hn::Set(d, top_q))); });
  const float weighted = SumOf(n, [&](auto d, size_t i) HWY_ATTR {
    const auto a = hn::LoadU(d, p + i);
    return hn::Mul(ExpKeepingNan(d, hn::Sub(a, hn::Set(d, top_p))), hn::Sub(a, hn::LoadU(d, q + i)));
  });
  const double kl = static_cast<double>(weighted) / static_cast<double>(sum_p) +
                    (static_cast<double>(top_q) - static_cast<double>(top_p)) +
                    std::log(static_cast<double>(sum_q) / static_cast<double>(sum_p));
  return kl < 0 ? 0 : kl;  // rounding may fall below zero; NaN stays
}

template <class Condition>
HWY_INLINE size_t FirstWhere(const float* x, size_t n, Condition&& condition) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  size_t i = 0;
  for (; i + step <= n; i += step)
    if (const intptr_t lane = hn::FindFirstTrue(d, condition(d, hn::LoadU(d, x + i))); lane >= 0)
      return i + static_cast<size_t>(lane);
  for (const One one; i < n; ++i)
    if (hn::AllTrue(one, condition(one, hn::LoadU(one, x + i)))) return i;
  return n;
}

size_t ArgMax(const float* x, size_t n) {
  const Wide d;
  const size_t step = hn::Lanes(d);
  bool any_nan = false;
  if (n >= step) {
    auto nan = hn::IsNaN(hn::LoadU(d, x));
    for (size_t i = step; i + step <= n; i += step) nan = hn::Or(nan, hn::IsNaN(hn::LoadU(d, x + i)));
    any_nan = !hn::AllFalse(d, nan);
  }
  for (size_t i = n - n % step; i < n; ++i) any_nan = any_nan || std::isnan(x[i]);
  if (any_nan) return FirstWhere(x, n, [](auto, auto v) HWY_ATTR { return hn::IsNaN(v); });
  const float top = Largest(x, n);
  return FirstWhere(x, n, [top](auto tag, auto v) HWY_ATTR { return hn::Eq(v, hn::Set(tag, top)); });
}

// What remains of a vector goes as a whole one: powers cost so much that one by one they would be half of all in a row
// of attention.
float ExpMinus(const float* x, float scale, float shift, float* out, size_t n) {
  const Wide wide;
  const auto power = [&](const float* from) HWY_ATTR {
    return ExpKeepingNan(wide, hn::MulSub(hn::LoadU(wide, from), hn::Set(wide, scale), hn::Set(wide, shift)));
  };
  const size_t whole = n / hn::Lanes(wide) * hn::Lanes(wide), left = n - whole;
  float sum = SumOf(whole, [&](auto, size_t i) HWY_ATTR {
    const auto powers = power(x + i);
    hn::StoreU(powers, wide, out + i);
    return powers;
  });
  if (left == 0) return sum;
  HWY_ALIGN float rest[hn::MaxLanes(wide)] = {};
  std::copy_n(x + whole, left, rest);
  const auto powers = hn::IfThenElseZero(hn::FirstN(wide, left), power(rest));
  hn::Store(powers, wide, rest);
  std::copy_n(rest, left, out + whole);
  return sum + hn::GetLane(hn::SumOfLanes(wide, powers));
}

float Softmax(const float* x, float scale, float* out, size_t n) {
  const float top = Largest(x, n) * scale;
  const float sum = ExpMinus(x, scale, top, out, n);
  const float inverse = 1.0f / sum;
  ForEach(n, [&](auto d, size_t i)
                 HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, out + i), hn::Set(d, inverse)), d, out + i); });
  return top + std::log(sum);
}

float LogSumExp(const float* x, size_t n) {
  const float top = Largest(x, n);
  const float sum = SumOf(
      n, [&](auto d, size_t i) HWY_ATTR { return ExpKeepingNan(d, hn::Sub(hn::LoadU(d, x + i), hn::Set(d, top))); });
  return top + std::log(sum);
}

void Rotate(float* head, const float* cosine, const float* sine, float sign, size_t dim) {
  const size_t half = dim / 2;
  ForEach(half, [&](auto d, size_t i) HWY_ATTR {
    const auto a = hn::LoadU(d, head + i);
    const auto b = hn::LoadU(d, head + half + i);
    const auto c = hn::LoadU(d, cosine + i);
    const auto s = hn::Mul(hn::LoadU(d, sine + i), hn::Set(d, sign));
    hn::StoreU(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, head + i);
    hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), d, head + half + i);
  });
}

float Dot(const float* a, const float* b, size_t n) {
  return SumOf(n, [&](auto d, size_t i) HWY_ATTR { return hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)); });
}

void AddScaled(const float* x, float scale, float* out, size_t n) {
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), hn::Set(d, scale), hn::LoadU(d, out + i)), d, out + i);
  });
}

void AdamW(const AdamWStep& s, const float* gradient, float* weight, float* m, float* v, size_t n) {
  const float root = std::sqrt(s.correction2);
  const float rate = s.learning_rate / s.correction1;
  const auto rest1 = static_cast<float>(1 - s.beta1), rest2 = static_cast<float>(1 - s.beta2);
  const auto beta2 = static_cast<float>(s.beta2);
  ForEach(n, [&](auto d, size_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, s.gradient_scale));
    const auto m1 = hn::MulAdd(hn::Sub(g, hn::LoadU(d, m + i)), hn::Set(d, rest1), hn::LoadU(d, m + i));
    const auto v1 = hn::MulAdd(hn::Mul(g, g), hn::Set(d, rest2), hn::Mul(hn::LoadU(d, v + i), hn::Set(d, beta2)));
    const auto bottom = hn::Add(hn::Div(hn::Sqrt(v1), hn::Set(d, root)), hn::Set(d, s.epsilon));
    const auto w = hn::Mul(hn::LoadU(d, weight + i), hn::Set(d, 1 - s.learning_rate * s.weight_decay));
    hn::StoreU(hn::NegMulAdd(hn::Div(m1, bottom), hn::Set(d, rate), w), d, weight + i);
    hn::StoreU(m1, d, m + i);
    hn::StoreU(v1, d, v + i);
  });
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(RmsNorm);
HWY_EXPORT(RmsNormBackward);
HWY_EXPORT(LayerNorm);
HWY_EXPORT(LayerNormBackward);
HWY_EXPORT(SwiGlu);
HWY_EXPORT(SwiGluBackward);
HWY_EXPORT(Gelu);
HWY_EXPORT(GeluTanh);
HWY_EXPORT(GeluTanhBackward);
HWY_EXPORT(Softmax);
HWY_EXPORT(LogSumExp);
HWY_EXPORT(KlDivergence);
HWY_EXPORT(ArgMax);
HWY_EXPORT(ExpMinus);
HWY_EXPORT(Largest);
HWY_EXPORT(Rotate);
HWY_EXPORT(Dot);
HWY_EXPORT(AddScaled);
HWY_EXPORT(AdamW);

float RmsNorm(const float* x, const float* gain, float eps, float* out, size_t n) {
  return HWY_DYNAMIC_DISPATCH(RmsNorm)(x, gain, eps, out, n);
}
void RmsNormBackward(const float* x, const float* gain, float inverse_rms, const float* d_out, float* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(RmsNormBackward)(x, gain, inverse_rms, d_out, dx, n);
}
LayerNormStats LayerNorm(const float* x, const float* gain, const float* bias, float eps, float* out, size_t n) {
  LayerNormStats stats{};
  HWY_DYNAMIC_DISPATCH(LayerNorm)(x, gain, bias, eps, out, n, &stats.mean, &stats.inverse_deviation);
  return stats;
}
void LayerNormBackward(const float* x, const float* gain, LayerNormStats stats, const float* d_out, float* dx,
                       size_t n) {
  HWY_DYNAMIC_DISPATCH(LayerNormBackward)(x, gain, stats.mean, stats.inverse_deviation, d_out, dx, n);
}
void SwiGlu(const float* gate, const float* up, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(SwiGlu)(gate, up, out, n);
}
void SwiGluBackward(const float* gate, const float* up, const float* d_out, float* d_gate, float* d_up, size_t n) {
  HWY_DYNAMIC_DISPATCH(SwiGluBackward)(gate, up, d_out, d_gate, d_up, n);
}
void Gelu(const float* x, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(Gelu)(x, out, n); }
void GeluTanh(const float* x, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(GeluTanh)(x, out, n); }
void GeluTanhBackward(const float* x, const float* d_out, float* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(GeluTanhBackward)(x, d_out, dx, n);
}
float Softmax(const float* x, float scale, float* out, size_t n) {
  return HWY_DYNAMIC_DISPATCH(Softmax)(x, scale, out, n);
}
float LogSumExp(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(LogSumExp)(x, n); }
double KlDivergence(const float* p, const float* q, size_t n) { return HWY_DYNAMIC_DISPATCH(KlDivergence)(p, q, n); }
size_t ArgMax(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(ArgMax)(x, n); }
float Largest(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(Largest)(x, n); }
float ExpMinus(const float* x, float scale, float shift, float* out, size_t n) {
  return HWY_DYNAMIC_DISPATCH(ExpMinus)(x, scale, shift, out, n);
}
void Rotate(float* head, const float* cosine, const float* sine, float sign, size_t dim) {
  HWY_DYNAMIC_DISPATCH(Rotate)(head, cosine, sine, sign, dim);
}
float Dot(const float* a, const float* b, size_t n) { return HWY_DYNAMIC_DISPATCH(Dot)(a, b, n); }
void AddScaled(const float* x, float scale, float* out, size_t n) { HWY_DYNAMIC_DISPATCH(AddScaled)(x, scale, out, n); }
void Add(const float* x, float* out, size_t n) { AddScaled(x, 1.0f, out, n); }

double SumOfSquares(const float* x, size_t n) {
  constexpr size_t kSums = 8;  // at once: one sum would wait for each addition
  std::array<double, kSums> sums{};
  size_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (size_t k = 0; k < kSums; ++k) sums[k] += static_cast<double>(x[i + k]) * x[i + k];
  for (; i < n; ++i) sums[0] += static_cast<double>(x[i]) * x[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void AdamW(const AdamWStep& step, const float* gradient, float* weight, float* m, float* v, size_t n) {
  HWY_DYNAMIC_DISPATCH(AdamW)(step, gradient, weight, m, v, n);
}

}  // namespace qad
#endif  // HWY_ONCE

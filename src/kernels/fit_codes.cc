#include "kernels/fit_codes.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fit_codes.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
inline constexpr size_t kCandidates = 8;
using Wide = hn::CappedTag<float, kCandidates>;
static_assert(kFitStep % kCandidates == 0);

struct Run {
  const float *x, *w;
  size_t n;
};

// What x / scale is rounded to: whole numbers of a range, or the values of a table.
struct ToRange {
  float low, high;
  explicit ToRange(CodeRange range) : low(static_cast<float>(range.low)), high(static_cast<float>(range.high)) {}
  HWY_INLINE hn::Vec<Wide> Nearest(hn::Vec<Wide> v) const {
    const Wide d;
    return hn::Round(hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high)));
  }
  HWY_INLINE hn::Vec<Wide> Code(hn::Vec<Wide> v) const { return Nearest(v); }
};
struct ToTable {
  static constexpr int kValues = 16;
  const float* values;
  float low, high;
  explicit ToTable(const float* table) : values(table), low(table[0]), high(table[kValues - 1]) {}
  // From the first value up, by what each threshold that v lies above adds.
  template <class Step>
  HWY_INLINE hn::Vec<Wide> Climb(hn::Vec<Wide> v, float start, const Step& step) const {
    const Wide d;
    auto sum = hn::Set(d, start);
    for (int i = 0; i + 1 < kValues; ++i) {
      const auto middle = hn::Set(d, 0.5f * (values[i] + values[i + 1]));
      sum = hn::Add(sum, hn::IfThenElseZero(hn::Gt(v, middle), hn::Set(d, step(i))));
    }
    return sum;
  }
  HWY_INLINE hn::Vec<Wide> Nearest(hn::Vec<Wide> v) const {
    return Climb(v, low, [&](int i) { return values[i + 1] - values[i]; });
  }
  HWY_INLINE hn::Vec<Wide> Code(hn::Vec<Wide> v) const {
    return Climb(v, 0, [](int) { return 1.0f; });
  }
};

// Candidates are lanes: all are tried at once, a value after another, and no sum is taken across lanes.
constexpr size_t kLanes = hn::MaxLanes(Wide()), kVectors = kCandidates / kLanes;
struct Candidates {
  HWY_ALIGN float scale[kCandidates], offset[kCandidates], error[kCandidates];
};

// Codes are rounded with each candidate's scale, which is then solved for.
template <class To>
HWY_INLINE void SolveScales(const Run& run, const To& to, Candidates& all) {
  const Wide d;
  hn::Vec<Wide> scale[kVectors], by[kVectors], wqq[kVectors], wrq[kVectors], wrr[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    scale[v] = hn::Load(d, all.scale + v * kLanes);
    by[v] = hn::Div(hn::Set(d, 1.0f), scale[v]);
    wqq[v] = wrq[v] = wrr[v] = hn::Zero(d);
  }
  for (size_t i = 0; i < run.n; ++i) {
    const auto x = hn::Set(d, run.x[i]), w = hn::Set(d, run.w[i]);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const auto q = to.Nearest(hn::Mul(x, by[v]));
      const auto r = hn::NegMulAdd(q, scale[v], x);
      const auto weighted_q = hn::Mul(w, q), weighted_r = hn::Mul(w, r);
      wqq[v] = hn::MulAdd(weighted_q, q, wqq[v]);
      wrq[v] = hn::MulAdd(weighted_q, r, wrq[v]);
      wrr[v] = hn::MulAdd(weighted_r, r, wrr[v]);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    const auto change = hn::IfThenElseZero(hn::Gt(wqq[v], hn::Zero(d)), hn::Div(wrq[v], wqq[v]));
    hn::Store(hn::Add(scale[v], change), d, all.scale + v * kLanes);
    hn::Store(hn::NegMulAdd(change, wrq[v], wrr[v]), d, all.error + v * kLanes);
  }
}

// The same for scale and offset; the offset stays at zero where it would be above and may not.
HWY_INLINE void SolveAffine(const Run& run, const ToRange& to, float sum_w, bool any_offset, Candidates& all) {
  const Wide d;
  hn::Vec<Wide> scale[kVectors], offset[kVectors], by[kVectors];
  hn::Vec<Wide> wq[kVectors], wqq[kVectors], wr[kVectors], wrq[kVectors], wrr[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    scale[v] = hn::Load(d, all.scale + v * kLanes);
    offset[v] = hn::Load(d, all.offset + v * kLanes);
    by[v] = hn::Div(hn::Set(d, 1.0f), scale[v]);
    wq[v] = wqq[v] = wr[v] = wrq[v] = wrr[v] = hn::Zero(d);
  }
  for (size_t i = 0; i < run.n; ++i) {
    const auto x = hn::Set(d, run.x[i]), w = hn::Set(d, run.w[i]);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const auto centred = hn::Sub(x, offset[v]);
      const auto q = to.Nearest(hn::Mul(centred, by[v]));
      const auto r = hn::NegMulAdd(q, scale[v], centred);
      const auto weighted_q = hn::Mul(w, q), weighted_r = hn::Mul(w, r);
      wq[v] = hn::Add(weighted_q, wq[v]);
      wqq[v] = hn::MulAdd(weighted_q, q, wqq[v]);
      wr[v] = hn::Add(weighted_r, wr[v]);
      wrq[v] = hn::MulAdd(weighted_q, r, wrq[v]);
      wrr[v] = hn::MulAdd(weighted_r, r, wrr[v]);
    }
  }
  const auto all_w = hn::Set(d, sum_w), zero = hn::Zero(d);
  for (size_t v = 0; v < kVectors; ++v) {
    const auto determinant = hn::NegMulAdd(wq[v], wq[v], hn::Mul(all_w, wqq[v]));
    // Not where all codes are equal.
    const auto solves = hn::Gt(determinant, hn::Mul(hn::Set(d, 1e-6f), hn::Mul(all_w, wqq[v])));
    const auto by_scale = hn::Div(hn::NegMulAdd(wq[v], wr[v], hn::Mul(all_w, wrq[v])), determinant);
    const auto by_offset = hn::Div(hn::NegMulAdd(wq[v], wrq[v], hn::Mul(wqq[v], wr[v])), determinant);
    auto more_scale = hn::IfThenElseZero(solves, by_scale), more_offset = hn::IfThenElseZero(solves, by_offset);
    auto error = hn::NegMulAdd(more_offset, wr[v], hn::NegMulAdd(more_scale, wrq[v], wrr[v]));
    if (!any_offset) {
      // x = r + scale·q + offset, against (scale + change)·q alone.
      const auto above = hn::Gt(hn::Add(offset[v], more_offset), zero);
      const auto change = hn::Div(hn::MulAdd(offset[v], wq[v], wrq[v]), wqq[v]);
      const auto crossed =
          hn::NegMulAdd(hn::Mul(change, offset[v]), wq[v], hn::NegMulAdd(change, wrq[v], hn::Mul(offset[v], wr[v])));
      const auto squares = hn::MulAdd(hn::Mul(change, change), wqq[v], hn::Mul(hn::Mul(offset[v], offset[v]), all_w));
      const auto alone = hn::MulAdd(hn::Set(d, 2.0f), crossed, hn::Add(wrr[v], squares));
      more_scale = hn::IfThenElse(above, change, more_scale);
      more_offset = hn::IfThenElse(above, hn::Neg(offset[v]), more_offset);
      error = hn::IfThenElse(above, alone, error);
    }
    hn::Store(hn::Add(scale[v], more_scale), d, all.scale + v * kLanes);
    hn::Store(hn::Add(offset[v], more_offset), d, all.offset + v * kLanes);
    hn::Store(error, d, all.error + v * kLanes);
  }
}

HWY_INLINE void Clear(Candidates& all) {
  std::fill_n(all.scale, kCandidates, 0.0f);
  std::fill_n(all.offset, kCandidates, 0.0f);
  std::fill_n(all.error, kCandidates, HUGE_VALF);
}

// Keeps the better of each lane's candidates; scales of zero, and below it where they may not be, are none.
HWY_INLINE void KeepBetter(const Candidates& all, bool negative, Candidates& best) {
  const Wide d;
  for (size_t i = 0; i < kCandidates; i += kLanes) {
    const auto scale = hn::Load(d, all.scale + i), error = hn::Load(d, all.error + i);
    const auto allowed = hn::Gt(negative ? hn::Abs(scale) : scale, hn::Zero(d));
    const auto better = hn::And(hn::Lt(error, hn::Load(d, best.error + i)), allowed);
    hn::Store(hn::IfThenElse(better, scale, hn::Load(d, best.scale + i)), d, best.scale + i);
    hn::Store(hn::IfThenElse(better, hn::Load(d, all.offset + i), hn::Load(d, best.offset + i)), d, best.offset + i);
    hn::Store(hn::IfThenElse(better, error, hn::Load(d, best.error + i)), d, best.error + i);
  }
}

HWY_INLINE void KeepBest(const Candidates& all, Fit* best) {
  const Wide d;
  auto least = hn::Load(d, all.error);
  for (size_t i = kLanes; i < kCandidates; i += kLanes) least = hn::Min(least, hn::Load(d, all.error + i));
  const float error = hn::GetLane(hn::MinOfLanes(d, least));
  for (size_t i = 0; i < kCandidates && error < best->error; ++i)
    if (all.error[i] == error) *best = {all.scale[i], all.offset[i], error};
}

// Smaller magnitudes are zero: their scale has no inverse.
constexpr float kSmallest = 1e-30f, kTiny = 1e-35f;

// Which codes the largest value is put on: about the end of the range, and where weights differ so much that it may not
// matter what becomes of it, up to twice as far.
constexpr float kNearFirst = -0.9f, kNearLast = 1.1f;  // beyond the end
constexpr float kFar = 2;                              // times the end
constexpr float kAlike = 1.5f;                         // largest weight by least, up to which they are much the same
constexpr int kRounds = 2;                             // of rounding and solving
constexpr int kManyCodes = 128;                        // from which the first solution is as good as any

struct Extent {
  float least, most;
};
HWY_INLINE Extent ExtentOf(const float* x, size_t n) {
  const Wide d;
  auto low = hn::LoadU(d, x), high = low;
  for (size_t i = kLanes; i < n; i += kLanes) {
    low = hn::Min(low, hn::LoadU(d, x + i));
    high = hn::Max(high, hn::LoadU(d, x + i));
  }
  return {hn::GetLane(hn::MinOfLanes(d, low)), hn::GetLane(hn::MaxOfLanes(d, high))};
}
HWY_INLINE bool WeightsDiffer(const Run& run) {
  const auto [least, most] = ExtentOf(run.w, run.n);
  return most > kAlike * least;
}

// Scales that put `extreme` on codes from `first` to `last`, both of one sign.
HWY_INLINE void Spread(float extreme, float first, float last, Candidates& all) {
  const Wide d;
  const auto step = hn::Set(d, (last - first) / static_cast<float>(kCandidates - 1));
  for (size_t i = 0; i < kCandidates; i += kLanes) {
    const auto lane = hn::Add(hn::Iota(d, 0), hn::Set(d, static_cast<float>(i)));
    hn::Store(hn::Div(hn::Set(d, extreme), hn::MulAdd(lane, step, hn::Set(d, first))), d, all.scale + i);
  }
}

// Tries candidates about one end of a range: solve(all) turns scales into solutions and their errors.
template <class Solve>
HWY_INLINE void SearchEnd(float extreme, float end, float unit, bool far, int rounds, bool negative, const Solve& solve,
                          Candidates& better) {
  Candidates all;
  Clear(all);
  const float step = std::copysign(unit, end);
  for (int batch = 0; batch < (far ? 2 : 1); ++batch) {
    // One code is no range: the value is put within a code of it.
    const float nearest = std::max(end / step + kNearFirst, 0.25f) * step;
    batch == 0 ? Spread(extreme, nearest, end + kNearLast * step, all)
               : Spread(extreme, end + kNearLast * step, std::max(kFar * end / step, end / step + 2) * step, all);
    for (int round = 0; round < rounds; ++round) {
      solve(all, round == 0);
      KeepBetter(all, negative, better);
    }
  }
}

// `unit` is a code's step at the ends of what is rounded to.
template <class To>
HWY_INLINE Fit SearchScale(const Run& run, const To& to, float unit, bool negative, bool both_ends, int rounds) {
  const auto [least, most] = ExtentOf(run.x, run.n);
  float extreme = -least > most ? least : most;
  if (!negative && to.low == 0) extreme = std::max(most, 0.0f);  // all that codes can reach
  if (!negative && to.high == 0) extreme = std::min(least, 0.0f);
  if (!(std::fabs(extreme) > kSmallest)) return {};
  // The longer side for the extreme, whatever its sign, where scales may be negative.
  const bool low_side = negative ? -to.low >= to.high : extreme < 0;
  const float end = low_side ? to.low : to.high, other = low_side ? to.high : to.low;
  Candidates better;
  Clear(better);
  const bool far = WeightsDiffer(run);
  const auto solve = [&](Candidates& all, bool) HWY_ATTR { SolveScales(run, to, all); };
  SearchEnd(extreme, end, unit, far, rounds, negative, solve, better);
  if (both_ends) SearchEnd(extreme, other, unit, far, rounds, negative, solve, better);
  Fit best{extreme / end, 0, HUGE_VALF};
  KeepBest(better, &best);
  return best;
}

void FitScale(const float* x, const float* w, size_t n, CodeRange range, bool negative, Fit* out) {
  *out = SearchScale({x, w, n}, ToRange(range), 1, negative, false, range.high - range.low > kManyCodes ? 1 : kRounds);
}

void FitTable(const float* x, const float* w, size_t n, const float* table, Fit* out) {
  const float unit = 0.5f * (table[ToTable::kValues - 1] - table[ToTable::kValues - 2]);
  *out = SearchScale({x, w, n}, ToTable(table), unit, true, true, kRounds);
}

void FitAffine(const float* x, const float* w, size_t n, int top, bool any_offset, Fit* out) {
  const Wide d;
  const Run run{x, w, n};
  const ToRange to({0, top});
  auto sum = hn::Zero(d);
  for (size_t i = 0; i < n; i += kLanes) sum = hn::Add(sum, hn::LoadU(d, w + i));
  const float sum_w = hn::GetLane(hn::SumOfLanes(d, sum));
  auto [least, most] = ExtentOf(run.x, run.n);
  if (!any_offset) least = std::min(least, 0.0f);
  *out = {0, least, 0};
  if (!(most - least > kSmallest)) return;
  *out = {(most - least) / to.high, least, HUGE_VALF};
  Candidates better;
  Clear(better);
  const auto solve = [&](Candidates& all, bool first) HWY_ATTR {
    if (first) std::fill_n(all.offset, kCandidates, least);
    SolveAffine(run, to, sum_w, any_offset, all);
  };
  SearchEnd(most - least, to.high, 1, WeightsDiffer(run), kRounds, false, solve, better);
  KeepBest(better, out);
}

template <class To>
HWY_INLINE float Round(const Run& run, const To& to, float scale, float offset, int8_t* codes) {
  const Wide d;
  const hn::Rebind<int32_t, Wide> i32;
  const hn::Rebind<int16_t, Wide> i16;
  const hn::Rebind<int8_t, Wide> i8;
  const auto by = hn::Set(d, std::fabs(scale) > kTiny ? 1.0f / scale : 0.0f), step = hn::Set(d, scale),
             from = hn::Set(d, offset);
  auto errors = hn::Zero(d);
  for (size_t i = 0; i < run.n; i += hn::Lanes(d)) {
    const auto x = hn::Sub(hn::LoadU(d, run.x + i), from), v = hn::Mul(x, by);
    hn::StoreU(hn::DemoteTo(i8, hn::DemoteTo(i16, hn::ConvertTo(i32, to.Code(v)))), i8, codes + i);
    const auto r = hn::NegMulAdd(to.Nearest(v), step, x);
    errors = hn::MulAdd(hn::Mul(r, r), hn::LoadU(d, run.w + i), errors);
  }
  return hn::GetLane(hn::SumOfLanes(d, errors));
}

float RoundToCodes(const float* x, const float* w, size_t n, CodeRange range, float scale, float offset,
                   int8_t* codes) {
  return Round({x, w, n}, ToRange(range), scale, offset, codes);
}

float RoundToTable(const float* x, const float* w, size_t n, const float* table, float scale, int8_t* codes) {
  return Round({x, w, n}, ToTable(table), scale, 0, codes);
}

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(FitScale);
HWY_EXPORT(FitTable);
HWY_EXPORT(FitAffine);
HWY_EXPORT(RoundToCodes);
HWY_EXPORT(RoundToTable);

Fit FitScale(const float* x, const float* w, size_t n, CodeRange range, bool negative) {
  Fit fit;
  HWY_DYNAMIC_DISPATCH(FitScale)(x, w, n, range, negative, &fit);
  return fit;
}

Fit FitTable(const float* x, const float* w, size_t n, const float* table) {
  Fit fit;
  HWY_DYNAMIC_DISPATCH(FitTable)(x, w, n, table, &fit);
  return fit;
}

Fit FitAffine(const float* x, const float* w, size_t n, int top, bool any_offset) {
  Fit fit;
  HWY_DYNAMIC_DISPATCH(FitAffine)(x, w, n, top, any_offset, &fit);
  return fit;
}

float RoundToCodes(const float* x, const float* w, size_t n, CodeRange range, float scale, float offset,
                   int8_t* codes) {
  return HWY_DYNAMIC_DISPATCH(RoundToCodes)(x, w, n, range, scale, offset, codes);
}

float RoundToTable(const float* x, const float* w, size_t n, const float* table, float scale, int8_t* codes) {
  return HWY_DYNAMIC_DISPATCH(RoundToTable)(x, w, n, table, scale, codes);
}

}  // namespace qad
#endif  // HWY_ONCE

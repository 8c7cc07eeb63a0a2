#include "kernels/fit_codes.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fit_codes.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

#include "kernels/nearest-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
inline constexpr size_t kCandidates = kMostLanes;
static_assert(kFitStep % kCandidates == 0);

struct Run {
  const float *x, *w;
  size_t n;
};

// Candidates are lanes: all are tried at once, a value after another, and no sum is taken across lanes.
constexpr size_t kLanes = hn::MaxLanes(Wide()), kVectors = kCandidates / kLanes;
struct Candidates {
  HWY_ALIGN float scale[kCandidates], offset[kCandidates], error[kCandidates];
};

using Lanes = hn::Vec<Wide>;

// Weighted sums over a run, of its codes q and of y: what a guess at scale and offset leaves of the values.
struct Sums {
  Lanes q, qq, y, yq, yy;

  HWY_INLINE void Add(Lanes w, Lanes code, Lanes left, bool affine) {
    const auto weighted = hn::Mul(w, code);
    qq = hn::MulAdd(weighted, code, qq);
    yq = hn::MulAdd(weighted, left, yq);
    if (affine) q = hn::Add(weighted, q);
  }
  HWY_INLINE void AddLeft(Lanes w, Lanes left) {
    const auto weighted = hn::Mul(w, left);
    y = hn::Add(weighted, y);
    yy = hn::MulAdd(weighted, left, yy);
  }
  HWY_INLINE Sums OfLanes() const {
    const Wide d;
    return {hn::SumOfLanes(d, q), hn::SumOfLanes(d, qq), hn::SumOfLanes(d, y), hn::SumOfLanes(d, yq),
            hn::SumOfLanes(d, yy)};
  }
};

HWY_INLINE Sums NoSums() {
  const auto zero = hn::Zero(Wide());
  return {zero, zero, zero, zero, zero};
}

struct Solution {
  Lanes scale, offset, error;
};

// Least squares: the best scale for the codes, by what is left with the guess.
HWY_INLINE Solution Solve(const Sums& sums, Lanes scale) {
  const auto change = hn::IfThenElseZero(hn::Gt(sums.qq, hn::Zero(Wide())), hn::Div(sums.yq, sums.qq));
  return {hn::Add(scale, change), hn::Zero(Wide()), hn::NegMulAdd(change, sums.yq, sums.yy)};
}

// The same for scale and offset; the offset stays at zero where it would be above and may not. Codes are counted from
// `origin`: near the code of the values' weighted mean, a weight that outweighs all others together cancels nothing.
HWY_INLINE Solution SolveAffine(const Sums& sums, Lanes scale, Lanes offset, Lanes origin, Lanes all_w,
                                bool any_offset) {
  const Wide d;
  const auto zero = hn::Zero(d), determinant = hn::NegMulAdd(sums.q, sums.q, hn::Mul(all_w, sums.qq));
  // Not where all codes are equal.
  const auto solves = hn::Gt(determinant, hn::Mul(hn::Set(d, 1e-6f), hn::Mul(all_w, sums.qq)));
  const auto by_scale = hn::Div(hn::NegMulAdd(sums.q, sums.y, hn::Mul(all_w, sums.yq)), determinant);
  const auto by_offset = hn::Div(hn::NegMulAdd(sums.q, sums.yq, hn::Mul(sums.qq, sums.y)), determinant);
  auto more_scale = hn::IfThenElseZero(solves, by_scale);
  const auto at_origin = hn::IfThenElseZero(solves, by_offset);
  auto more_offset = hn::NegMulAdd(more_scale, origin, at_origin);
  auto error = hn::NegMulAdd(at_origin, sums.y, hn::NegMulAdd(more_scale, sums.yq, sums.yy));
  if (!any_offset) {
    // y + scale·q + offset, against (scale + change)·q alone: y − change·(q − origin) − shift.
    const auto above = hn::Gt(hn::Add(offset, more_offset), zero);
    const auto two = hn::Set(d, 2.0f);
    const auto with_q = hn::MulAdd(origin, hn::MulAdd(offset, all_w, sums.y), hn::MulAdd(offset, sums.q, sums.yq));
    const auto squares = hn::MulAdd(origin, hn::MulAdd(origin, all_w, hn::Mul(two, sums.q)), sums.qq);
    const auto change = hn::Div(with_q, squares), shift = hn::MulSub(change, origin, offset);
    const auto by_change = hn::MulAdd(change, sums.qq, hn::Mul(two, hn::MulSub(shift, sums.q, sums.yq)));
    const auto by_shift = hn::MulSub(shift, all_w, hn::Mul(two, sums.y));
    const auto alone = hn::MulAdd(change, by_change, hn::MulAdd(shift, by_shift, sums.yy));
    more_scale = hn::IfThenElse(above, change, more_scale);
    more_offset = hn::IfThenElse(above, hn::Neg(offset), more_offset);
    error = hn::IfThenElse(above, alone, error);
  }
  return {hn::Add(scale, more_scale), hn::Add(offset, more_offset), error};
}

// Codes are rounded with each candidate's scale and the one offset. What is left is that of no scale at all, beside
// `middle`: two products a value fewer, and exact enough to choose by. `origins`, null for scales alone, are set.
template <class To>
HWY_INLINE void SumCandidates(const Run& run, const To& to, const Candidates& all, float offset, float middle,
                              Lanes* origins, Sums* sums) {
  const Wide d;
  const bool affine = origins != nullptr;
  Lanes by[kVectors];
  for (size_t v = 0; v < kVectors; ++v) by[v] = hn::Div(hn::Set(d, 1.0f), hn::Load(d, all.scale + v * kLanes));
  for (size_t v = 0; v < kVectors && affine; ++v) origins[v] = to.Nearest(hn::Mul(hn::Set(d, middle - offset), by[v]));
  Sums left = NoSums(), odd[kVectors], even[kVectors];
  for (size_t v = 0; v < kVectors; ++v) odd[v] = even[v] = NoSums();
  for (size_t i = 0; i < run.n; i += kLanes)
    left.AddLeft(hn::LoadU(d, run.w + i), hn::Sub(hn::LoadU(d, run.x + i), hn::Set(d, middle)));
  left = left.OfLanes();
  for (size_t i = 0; i < run.n; i += 2) {
    const auto x = hn::Set(d, run.x[i] - offset), y = hn::Set(d, run.x[i] - middle), w = hn::Set(d, run.w[i]);
    const auto next_x = hn::Set(d, run.x[i + 1] - offset), next_y = hn::Set(d, run.x[i + 1] - middle),
               next_w = hn::Set(d, run.w[i + 1]);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const auto q = to.Nearest(hn::Mul(x, by[v])), next_q = to.Nearest(hn::Mul(next_x, by[v]));
      even[v].Add(w, affine ? hn::Sub(q, origins[v]) : q, y, affine);
      odd[v].Add(next_w, affine ? hn::Sub(next_q, origins[v]) : next_q, next_y, affine);
    }
  }
  for (size_t v = 0; v < kVectors; ++v)
    sums[v] = {hn::Add(even[v].q, odd[v].q), hn::Add(even[v].qq, odd[v].qq), left.y, hn::Add(even[v].yq, odd[v].yq),
               left.yy};
}

// The same for one guess, where values are lanes.
template <class To>
HWY_INLINE Sums SumValues(const Run& run, const To& to, const Fit& guess, Lanes origin) {
  const Wide d;
  const auto scale = hn::Set(d, guess.scale), by = hn::Set(d, 1.0f / guess.scale), offset = hn::Set(d, guess.offset);
  Sums sums = NoSums();
  for (size_t i = 0; i < run.n; i += kLanes) {
    const auto w = hn::LoadU(d, run.w + i), x = hn::Sub(hn::LoadU(d, run.x + i), offset);
    const auto q = to.Nearest(hn::Mul(x, by)), left = hn::NegMulAdd(q, scale, x);
    sums.Add(w, hn::Sub(q, origin), left, true);
    sums.AddLeft(w, left);
  }
  return sums.OfLanes();
}

HWY_INLINE void Store(const Solution& solution, size_t v, Candidates& all) {
  const Wide d;
  hn::Store(solution.scale, d, all.scale + v * kLanes);
  hn::Store(solution.offset, d, all.offset + v * kLanes);
  hn::Store(solution.error, d, all.error + v * kLanes);
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
// Where they differ, scales about the best are tried with the best's offset; rounds, and codes to either side.
constexpr int kAgain = 2;
constexpr float kAround = 4;

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
template <class Solver>
HWY_INLINE void SearchEnd(float extreme, float end, float unit, bool far, bool negative, const Solver& solve,
                          Candidates& better) {
  Candidates all;
  Clear(all);
  const float step = std::copysign(unit, end);
  for (int batch = 0; batch < (far ? 2 : 1); ++batch) {
    // One code is no range: the value is put within a code of it.
    const float nearest = std::max(end / step + kNearFirst, 0.25f) * step;
    batch == 0 ? Spread(extreme, nearest, end + kNearLast * step, all)
               : Spread(extreme, end + kNearLast * step, std::max(kFar * end / step, end / step + 2) * step, all);
    solve(all);
    KeepBetter(all, negative, better);
  }
}

// One rounding and solution more, for the best of the candidates.
template <class To, class Solver>
HWY_INLINE Fit Improve(const Run& run, const To& to, const Fit& best, Lanes origin, bool negative,
                       const Solver& solve) {
  const Sums sums = SumValues(run, to, best, origin);
  const Solution solution = solve(sums);
  const float scale = hn::GetLane(solution.scale);
  if (!((negative ? std::fabs(scale) : scale) > 0)) return {best.scale, best.offset, hn::GetLane(sums.yy)};
  return {scale, hn::GetLane(solution.offset), hn::GetLane(solution.error)};
}

// `unit` is a code's step at the ends of what is rounded to.
template <class To>
HWY_INLINE Fit SearchScale(const Run& run, const To& to, float unit, bool negative, bool both_ends) {
  const Wide d;
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
  const auto solve = [&](Candidates& all) HWY_ATTR {
    Sums sums[kVectors];
    SumCandidates(run, to, all, 0, 0, nullptr, sums);
    for (size_t v = 0; v < kVectors; ++v) Store(Solve(sums[v], hn::Zero(d)), v, all);
  };
  SearchEnd(extreme, end, unit, far, negative, solve, better);
  if (both_ends) SearchEnd(extreme, other, unit, far, negative, solve, better);
  Fit best{extreme / end, 0, HUGE_VALF};
  KeepBest(better, &best);
  return Improve(run, to, best, hn::Zero(d), negative,
                 [&](const Sums& sums) HWY_ATTR { return Solve(sums, hn::Set(d, best.scale)); });
}

void FitScale(const float* x, const float* w, size_t n, CodeRange range, bool negative, Fit* out) {
  *out = SearchScale({x, w, n}, ToRange(range), 1, negative, false);
}

void FitTable(const float* x, const float* w, size_t n, const float* table, Fit* out) {
  const float unit = 0.5f * (table[ToTable::kValues - 1] - table[ToTable::kValues - 2]);
  *out = SearchScale({x, w, n}, ToTable(table), unit, true, true);
}

void FitAffine(const float* x, const float* w, size_t n, int top, bool any_offset, Fit* out) {
  const Wide d;
  const Run run{x, w, n};
  const ToRange to({0, top});
  auto all_w = hn::Zero(d), all_x = hn::Zero(d);
  for (size_t i = 0; i < n; i += kLanes) {
    all_w = hn::Add(all_w, hn::LoadU(d, w + i));
    all_x = hn::MulAdd(hn::LoadU(d, w + i), hn::LoadU(d, x + i), all_x);
  }
  all_w = hn::SumOfLanes(d, all_w);
  auto [least, most] = ExtentOf(run.x, run.n);
  if (!any_offset) least = std::min(least, 0.0f);
  *out = {0, least, 0};
  if (!(most - least > kSmallest)) return;
  const float total = hn::GetLane(all_w), middle = total > 0 ? hn::GetLane(hn::SumOfLanes(d, all_x)) / total : least;
  Fit best{(most - least) / to.high, least, HUGE_VALF};
  Candidates better;
  Clear(better);
  const auto solve = [&](Candidates& all) HWY_ATTR {
    Sums sums[kVectors];
    Lanes origins[kVectors];
    SumCandidates(run, to, all, best.offset, middle, origins, sums);
    for (size_t v = 0; v < kVectors; ++v)
      Store(SolveAffine(sums[v], hn::Zero(d), hn::Set(d, middle), origins[v], all_w, any_offset), v, all);
  };
  const bool differ = WeightsDiffer(run);
  SearchEnd(most - least, to.high, 1, differ, false, solve, better);
  KeepBest(better, &best);
  for (int round = 0; differ && round < kAgain; ++round) {
    const float before = best.error;
    Candidates all;
    Clear(all);
    Spread(best.scale * to.high, std::max(to.high - kAround, 0.25f), to.high + kAround, all);
    solve(all);
    KeepBetter(all, false, better);
    KeepBest(better, &best);
    if (!(best.error < before)) break;
  }
  const auto origin = to.Nearest(hn::Set(d, (middle - best.offset) / best.scale));
  *out = Improve(run, to, best, origin, false, [&](const Sums& sums) HWY_ATTR {
    return SolveAffine(sums, hn::Set(d, best.scale), hn::Set(d, best.offset), origin, all_w, any_offset);
  });
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

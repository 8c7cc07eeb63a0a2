#include "quantize/allocation.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace qad {
namespace {

// The choices on the lower convex hull, from the smallest to the one of least cost.
std::vector<size_t> HullOf(const std::vector<Choice>& choices) {
  std::vector<size_t> order(choices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return choices[a].bytes != choices[b].bytes ? choices[a].bytes < choices[b].bytes
                                                : choices[a].cost < choices[b].cost;
  });
  const auto gain = [&](size_t from, size_t to) { return choices[from].cost - choices[to].cost; };
  const auto more = [&](size_t from, size_t to) {
    return static_cast<double>(choices[to].bytes - choices[from].bytes);
  };
  std::vector<size_t> hull;
  for (const size_t next : order) {
    if (!hull.empty() && !(gain(hull.back(), next) > 0)) continue;  // larger, and no better
    // The last one goes where the way past it is the steeper.
    while (hull.size() >= 2) {
      const size_t last = hull.back(), before = hull[hull.size() - 2];
      if (gain(before, last) * more(last, next) > gain(last, next) * more(before, last)) break;
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

}  // namespace

AllocationFront::AllocationFront(std::span<const std::vector<Choice>> things) : things_(things) {
  for (size_t thing = 0; thing < things.size(); ++thing) {
    QAD_CHECK(!things[thing].empty());
    const std::vector<Choice>& choices = things[thing];
    const std::vector<size_t> hull = HullOf(choices);
    smallest_.chosen.push_back(hull.front());
    smallest_.bytes += choices[hull.front()].bytes;
    smallest_.cost += choices[hull.front()].cost;
    for (size_t i = 1; i < hull.size(); ++i)
      steps_.push_back({thing, hull[i], choices[hull[i]].bytes - choices[hull[i - 1]].bytes,
                        choices[hull[i - 1]].cost - choices[hull[i]].cost});
  }
  // Of one thing they are in order already: slopes fall along a hull.
  std::ranges::stable_sort(steps_, [](const Step& a, const Step& b) {
    return a.gain * static_cast<double>(b.bytes) > b.gain * static_cast<double>(a.bytes);
  });
  Choice sum{smallest_.bytes, smallest_.cost};
  points_.push_back(sum);
  for (const Step& step : steps_)
    points_.push_back(sum = {sum.bytes + step.bytes, std::max(0.0, sum.cost - step.gain)});
}

Allocation AllocationFront::At(uint64_t budget) const {
  QAD_CHECK(budget >= smallest_.bytes);
  Allocation out = smallest_;
  const auto take = [&](size_t thing, size_t to) {
    const Choice &before = things_[thing][out.chosen[thing]], &after = things_[thing][to];
    out.bytes = out.bytes - before.bytes + after.bytes;
    out.cost += after.cost - before.cost;
    out.chosen[thing] = to;
  };
  for (const Step& step : steps_) {
    if (out.bytes + step.bytes > budget) break;
    take(step.thing, step.to);
  }
  // What is left over: the exchange that gains most and fits, again and again.
  for (;;) {
    double best = 0;
    size_t thing = 0, to = 0;
    for (size_t t = 0; t < things_.size(); ++t) {
      const Choice& now = things_[t][out.chosen[t]];
      for (size_t c = 0; c < things_[t].size(); ++c) {
        const Choice& other = things_[t][c];
        if (out.bytes - now.bytes + other.bytes > budget || !(now.cost - other.cost > best)) continue;
        best = now.cost - other.cost;
        thing = t;
        to = c;
      }
    }
    if (best == 0) return out;
    take(thing, to);
  }
}

}  // namespace qad

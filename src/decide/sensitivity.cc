#include "decide/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "decide/costs.h"
#include "decide/rules.h"

namespace qad {
namespace {

constexpr double kStep = 1.02;       // of scales
constexpr double kShareStep = 0.01;  // of shares
constexpr double kReach = 1000;      // how far a scale is followed, as a factor
constexpr double kPrecision = 1e-4;  // relative width at which halving stops
constexpr const char* kAllFloors = "all floors, as a share of what they are";

// A constraint as a place to put a value: everything else stays as it is.
struct Knob {
  std::string constraint, unit;
  double now;
  std::function<void(Evidence&, DecideOptions&, double)> set;
};

std::vector<Knob> Knobs(const Evidence& evidence, const DecideOptions& options) {
  std::vector<Knob> knobs;
  if (evidence.required.size() > 1)
    knobs.push_back({kAllFloors, "share", 1, [floors = evidence.required](Evidence& e, DecideOptions&, double value) {
                       for (size_t i = 0; i < floors.size(); ++i) e.required[i].floor = value * floors[i].floor;
                     }});
  for (size_t i = 0; i < evidence.required.size(); ++i)
    knobs.push_back({"floor of " + evidence.required[i].slice, "share", evidence.required[i].floor,
                     [i](Evidence& e, DecideOptions&, double value) { e.required[i].floor = value; }});
  if (options.memory_budget > 0)
    knobs.push_back(
        {"memory budget", "bytes", static_cast<double>(options.memory_budget),
         [](Evidence&, DecideOptions& o, double value) { o.memory_budget = static_cast<uint64_t>(value); }});
  const auto number = [&](const char* name, const char* unit, double DecideOptions::*field) {
    knobs.push_back(
        {name, unit, options.*field, [field](Evidence&, DecideOptions& o, double value) { o.*field = value; }});
  };
  number("latency p95", "seconds", &DecideOptions::latency_p95);
  number("update delay", "seconds", &DecideOptions::update_delay);
  number("queries per month", "per month", &DecideOptions::queries_per_month);
  number("changes per month", "per month", &DecideOptions::changes_per_month);
  number("horizon", "months", &DecideOptions::horizon_months);
  number("utilization", "share", &DecideOptions::utilization);
  return knobs;
}

class FlipSearch {
 public:
  FlipSearch(const Evidence& evidence, const DecideOptions& options, const Knob& knob)
      : evidence_(evidence), options_(options), knob_(knob), now_(Choose(evidence, options)) {}

  Flip Run() {
    Flip flip;
    flip.constraint = knob_.constraint;
    flip.unit = knob_.unit;
    flip.now = knob_.now;
    const bool share = knob_.unit == "share";
    const double start = knob_.now > 0 ? knob_.now : 1 / kReach;
    flip.searched_low = share ? std::min(kShareStep, start) : start / kReach;
    flip.searched_high = share ? 1 : start * kReach;
    const auto up = share ? [](double x) { return x + kShareStep; } : [](double x) { return x * kStep; };
    const auto down = share ? [](double x) { return x - kShareStep; } : [](double x) { return x / kStep; };
    std::optional<double> above = Walk(start, flip.searched_high, up);
    const std::optional<double> below = knob_.now > 0 ? Walk(start, flip.searched_low, down) : std::nullopt;
    flip.at = above;
    if (below && (!above || Distance(*below) < Distance(*above))) flip.at = below;
    if (!flip.at) return flip;
    flip.distance = Distance(*flip.at);
    if (const auto winner = ChoiceAt(*flip.at)) flip.winner = evidence_.arms[*winner].arm;
    return flip;
  }

 private:
  double Distance(double value) const { return std::fabs(value - knob_.now) / std::max(knob_.now, 1e-12); }

  std::optional<size_t> ChoiceAt(double value) {
    knob_.set(evidence_, options_, value);
    return Choose(evidence_, options_);
  }

  // The first value on the way from `from` to `end` with another choice, or nothing.
  std::optional<double> Walk(double from, double end, double (*next)(double)) {
    double same = knob_.now;
    for (double value = from; same != end;) {
      value = next(value);
      if ((end > from) == (value > end)) value = end;
      if (ChoiceAt(value) != now_) return Halve(same, value);
      same = value;
    }
    return std::nullopt;
  }

  double Halve(double same, double other) {
    // Relative, but where the way begins at nothing.
    const double least = kPrecision * (knob_.unit == "share" ? 1 : std::max(knob_.now, 1 / kReach));
    while (std::fabs(other - same) > std::max(kPrecision * std::fabs(other), kPrecision * least)) {
      const double middle = (same + other) / 2;
      (ChoiceAt(middle) == now_ ? same : other) = middle;
    }
    return other;
  }

  Evidence evidence_;
  DecideOptions options_;
  const Knob& knob_;
  std::optional<size_t> now_;
};

// To two digits.
double Round(double value) {
  if (value <= 0) return 0;
  const double scale = std::pow(10.0, std::floor(std::log10(value)));
  return std::round(value / scale * 10) / 10 * scale;
}

// winner(options with the cell's volumes) for every cell.
template <typename Winner>
WinnerMap FillMap(const DecideOptions& options, Winner winner) {
  WinnerMap map;
  for (const double factor : {0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0})
    map.queries_per_month.push_back(factor == 1 ? options.queries_per_month
                                                : Round(options.queries_per_month * factor));
  map.changes_per_month = {0, 1, 4, 10, 30, 100, 300};
  if (!std::count(map.changes_per_month.begin(), map.changes_per_month.end(), options.changes_per_month)) {
    map.changes_per_month.push_back(options.changes_per_month);
    std::sort(map.changes_per_month.begin(), map.changes_per_month.end());
  }
  DecideOptions moved = options;
  for (const double changes : map.changes_per_month) {
    map.winners.emplace_back();
    for (const double queries : map.queries_per_month) {
      moved.changes_per_month = changes;
      moved.queries_per_month = queries;
      map.winners.back().push_back(winner(moved));
    }
  }
  return map;
}

}  // namespace

std::vector<Flip> FindFlips(const Evidence& evidence, const DecideOptions& options) {
  std::vector<Flip> flips;
  for (const Knob& knob : Knobs(evidence, options)) flips.push_back(FlipSearch(evidence, options, knob).Run());
  return flips;
}

WinnerMap MapWinners(const Evidence& evidence, const DecideOptions& options) {
  return FillMap(options, [&](const DecideOptions& moved) -> std::string {
    const auto winner = Choose(evidence, moved);
    return winner ? evidence.arms[*winner].arm : "";
  });
}

PairMap MapCheaper(const BreakEven& pair, const Evidence& evidence, const DecideOptions& options) {
  const auto total = [&](const std::string& name, const DecideOptions& moved) {
    for (const ArmEvidence& arm : evidence.arms)
      if (arm.arm == name)
        if (const auto costs = CostsOf(arm, moved)) return costs->total;
    return std::numeric_limits<double>::infinity();
  };
  const WinnerMap map = FillMap(options, [&](const DecideOptions& moved) {
    return total(pair.rag, moved) < total(pair.lora, moved) ? pair.rag : pair.lora;
  });
  return {.rag = pair.rag, .lora = pair.lora, .map = map};
}

}  // namespace qad

// What an arm costs, in the currency of hardware.price_per_hour (docs/decide.md, "Costs").
#pragma once

#include <optional>

#include "decide/evidence.h"

namespace qad {

// Price of one hour of this machine, per second.
inline double PricePerSecond(const DecideOptions& options) { return options.price_per_hour / 3600; }

// What one query costs, over the spread of its seconds; nothing where it was not timed. An endpoint's has a price of
// its own, by tokens, and no spread.
std::optional<Estimate> QueryPrice(const ArmEvidence& arm, const DecideOptions& options);

// What the answers that are not right cost, per query; 0 where they have no price. Nothing where they have one and the
// arm's were not counted.
std::optional<double> ErrorPrice(const ArmEvidence& arm, const DecideOptions& options);

// Of one change of the facts: the machine's time, and people's where it has a price. 0 for an arm that holds no facts.
double UpdatePrice(const ArmEvidence& arm, const DecideOptions& options);

// Nothing where the latency, or a training, an update or errors that belong to the cost, were not measured. An update
// that never happens (no changes per month) need not be measured.
std::optional<Costs> CostsOf(const ArmEvidence& arm, const DecideOptions& options);

}  // namespace qad

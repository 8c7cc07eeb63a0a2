// The rules of docs/decide.md: eligible → adequate on every required slice → the lowest total cost.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "decide/evidence.h"

namespace qad {

// An interval against a limit. kUnproven: the interval straddles the limit, or nothing was measured.
enum class Verdict : uint8_t { kPass, kUnproven, kFail };
const char* Name(Verdict verdict);

enum class Side : uint8_t { kAtLeast, kAtMost };

// Never a point estimate against a limit: pass where the whole interval is on the right side, fail where none of it is.
Verdict Judge(const std::optional<Estimate>& estimate, double limit, Side side);

// All rules held against one arm, in order: memory, latency, update delay, each required slice, cost.
ArmDecision JudgeArm(const ArmEvidence& arm, const std::vector<RequiredSlice>& required, const DecideOptions& options);

// The index of the arm that the rules choose: among candidates that pass every rule the lowest total cost, and among
// those within 10% of it the fewest moving parts, then the lowest cost. Nothing where no arm passes.
std::optional<size_t> Choose(const Evidence& evidence, const DecideOptions& options);

// Independent items with which the Wilson interval of this confidence leaves `limit` out in four of five runs, if the
// share `value` is the true one: (z √(f (1 − f)) + z₈₀ √(p (1 − p)))² / (p − f)². Nothing where they are equal.
std::optional<int64_t> ItemsNeeded(double value, double limit, double confidence);

inline constexpr double kTieInCost = 0.10;

}  // namespace qad

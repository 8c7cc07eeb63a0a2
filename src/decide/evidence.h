// What the rules need to know of each arm, taken from the rows of results.json. Rules, resampling and sensitivity all
// work on this; none of them sees a row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decide/options.h"
#include "results/decision.h"
#include "results/results.h"

namespace qad {

// A measured figure with its interval. One measurement alone has no spread: low = value = high.
struct Estimate {
  double value = 0, low = 0, high = 0;
  int64_t n = 0;
};

// Shares of the answers of a query from the mix of slices.
struct ErrorShares {
  double wrong = 0, stale = 0, refused = 0;  // neither right nor stale nor refused; an old value; refused falsely
};

// Nothing in a field: not measured.
struct ArmEvidence {
  std::string arm;
  bool candidate = true;   // false: a baseline without a language model, or a replica
  std::string replica_of;  // the arm that it is with another seed; empty: none
  bool remote = false;     // its memory is not this machine's: no limit applies
  int moving_parts = 0;
  std::vector<std::optional<Estimate>> quality;        // one per required slice
  std::optional<Estimate> memory;                      // peak resident bytes
  std::optional<double> query_price;                   // of an endpoint's tokens; else the machine's time pays
  std::optional<Estimate> query_seconds, latency_p95;  // seconds per query, one at a time; the first at its own length
  bool trained = false;                                // has an adapter: training_seconds belongs to its cost
  std::optional<double> training_seconds;
  std::optional<ErrorShares> errors;
  bool indexed = false;                  // looks passages up
  bool updated = false;                  // holds facts, in an adapter or an index, that must be kept up to date
  std::optional<double> update_seconds;  // from a changed fact to the arm answering it, validation included
  std::string update_source;             // how update_seconds was come by
};

struct Evidence {
  std::vector<RequiredSlice> required;
  std::vector<ArmEvidence> arms;  // in the order of the results
};

// The required slices: "facts" stands for each of "facts/stable", "facts/changed" where there are such, because an
// average over them may hide a failure. A slice without any row stays, so that every arm is unproven on it.
std::vector<RequiredSlice> RequiredSlices(const Results& results, const DecideOptions& options);

Evidence GatherEvidence(const Results& results, const DecideOptions& options);

// The row's value with its interval. A share without interval gets Wilson's for its n, other figures none.
std::optional<Estimate> EstimateFrom(const Row* row, double confidence);

}  // namespace qad

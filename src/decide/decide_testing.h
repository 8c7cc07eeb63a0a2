// Results and options that several tests of the decision begin with.
#pragma once

#include <string>

#include "decide/options.h"
#include "results/testing.h"

namespace qad {

inline DecideOptions Options() {
  DecideOptions options;
  options.required = {{"behaviour", 0.60}, {"facts", 0.60}};
  options.memory_budget = uint64_t{1} << 30;
  return options;
}

// An ordinary dataset: one slice, judged by `contains`, two arms without adapter or index, no floor.
inline SyntheticPack OneSlice() {
  SyntheticPack pack;
  for (const char* name : {"base", "base + few-shot"}) {
    ArmInfo arm;
    arm.name = name;
    arm.prompting = arm.name == "base" ? "" : "few-shot";
    pack.results.arms.push_back(arm);
    pack.results.rows.push_back({name, "all", "contains", 0.5, 0.4, 0.6, 100});
    pack.results.rows.push_back({name, std::string(kMemorySlice), "peak_rss_bytes", 4e8, {}, {}, 1});
    const double seconds = arm.prompting.empty() ? 1.0 : 1.2;
    for (const char* metric : {"query_seconds", "latency_p95"})
      pack.results.rows.push_back({name, std::string(kSpeedSlice), metric, seconds, 0.8, 1.5, 5});
  }
  return pack;
}

}  // namespace qad

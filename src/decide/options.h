// The user's constraints and prices: what the rules of decide/ hold the measurements against.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace qad {

struct DecideOptions {
  std::map<std::string, double> required;  // slice → floor that the lower bound of its primary metric must reach
  uint64_t memory_budget = 0;              // bytes; 0: hardware.memory
  double latency_p95 = 5;                  // seconds
  double update_delay = 86400;             // seconds: how soon a changed fact must be answered right
  double queries_per_month = 30000;
  double changes_per_month = 4;
  double horizon_months = 12;
  double utilization = 0.5;                // share of paid machine time that serves queries
  std::optional<double> human_hour_price;  // for the memo's notes alone: hours of people are in no cost
  double price_per_hour = 0.10;            // of the machine (hardware.price_per_hour)
  double confidence = 0.95;                // of intervals that the rules make themselves (eval.confidence)
};

}  // namespace qad

// The user's constraints and prices: what the rules of decide/ hold the measurements against.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace qad {

// Of people, for each arm that needs them; at human_hour_price.
struct HumanHours {
  double prompt = 0;                            // once, every arm: to write and try what it is asked
  double adapter = 0, index = 0;                // once: to write the training data; to gather the documents
  double adapter_update = 0, index_update = 0;  // for each change of the facts
};

// Of an answer that is not right; none: left out of every cost, and the memo says so.
struct AnswerPrices {
  std::optional<double> wrong, stale, refused;  // refused: falsely
  bool any() const { return wrong || stale || refused; }
};

struct DecideOptions {
  std::map<std::string, double> required;  // slice → floor that the lower bound of its primary metric must reach
  uint64_t memory_budget = 0;              // bytes; 0: hardware.memory
  double memory_margin = 0.05;             // of a measured peak that another run may take beyond it
  double latency_p95 = 5;                  // seconds
  double update_delay = 86400;             // seconds: how soon a changed fact must be answered right
  double queries_per_month = 30000;
  double changes_per_month = 4;
  double horizon_months = 12;
  double utilization = 0.5;                // share of paid machine time that serves queries
  std::optional<double> human_hour_price;  // none: hours of people are in no cost
  HumanHours hours;
  AnswerPrices answers;
  std::map<std::string, double> mix;  // slice → its share of the queries; empty: every required slice alike
  double price_per_hour = 0.10;       // of the machine (hardware.price_per_hour)
  double confidence = 0.95;           // of intervals that the rules make themselves (eval.confidence)
};

}  // namespace qad

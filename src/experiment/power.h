// What so many items can show, said before anything is run.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "experiment/config.h"
#include "text/dataset.h"

namespace qad {

// Shares of the pairs that differ between two arms, as such experiments have them.
inline constexpr double kDiscordances[] = {0.1, 0.2, 0.3};

// A declared comparison: how many items and clusters of items it has, and the least difference that these show with 80%
// power when all that are declared are corrected together, for each of kDiscordances; 1 where nothing can be shown.
struct ComparisonPower {
  std::string better, than, slice, metric;
  int64_t items = 0, clusters = 0;
  std::vector<double> detectable;
};

// A required slice: how many of its items must be right for the lower end of Wilson's interval to reach the floor. More
// than `items`: not even all of them would do.
struct FloorPower {
  std::string slice;
  double floor = 0;
  int64_t items = 0, needed = 0;
};

std::vector<ComparisonPower> PowerOfComparisons(const Config& config, std::span<const Item> items);
// A floor on a slice holds for each of the slices below it; "all" for every slice.
std::vector<FloorPower> PowerOfFloors(const Config& config, std::span<const Item> items);

// Both as sentences, one a line.
std::vector<std::string> PowerStatement(const Config& config, std::span<const Item> items);

}  // namespace qad

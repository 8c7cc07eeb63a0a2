// Which way to store each of many things so that the sum of costs is least within a budget of bytes: a knapsack with
// one choice of each class. Solved greedily along each thing's lower convex hull (the linear relaxation is then exact,
// Sinha and Zoltners 1979), and what is left of the budget is filled up; the result is above the optimum by less than
// one step's gain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qad {

struct Choice {
  uint64_t bytes = 0;
  double cost = 0;
};

struct Allocation {
  std::vector<size_t> chosen;  // of each thing, an index into its choices
  uint64_t bytes = 0;
  double cost = 0;
};

class AllocationFront {
 public:
  // Each thing has a choice at least. Costs are finite and not below zero.
  explicit AllocationFront(std::span<const std::vector<Choice>> things);

  // From the smallest allocation to the best, each step the one that gains most for its bytes: none of equal size or
  // less costs less, but for what filling up may gain.
  const std::vector<Choice>& points() const { return points_; }
  // Within the budget, which is that of the smallest allocation at least.
  Allocation At(uint64_t budget) const;

 private:
  struct Step {
    size_t thing, to;  // and the choice that it takes
    uint64_t bytes;    // more than before
    double gain;       // of cost
  };
  std::span<const std::vector<Choice>> things_;
  Allocation smallest_;
  std::vector<Step> steps_;
  std::vector<Choice> points_;
};

}  // namespace qad

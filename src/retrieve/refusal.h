// Whether what retrieval finds best can tell questions that the documents answer from those they do not, and from which
// score on. Judged on items that nothing is decided by.
#pragma once

#include <optional>
#include <span>

#include "retrieve/index.h"

namespace qad {

inline constexpr double kLeastAuc = 0.7;     // below it a threshold refuses too many of those it should answer
inline constexpr int64_t kLeastOfEach = 10;  // questions of either kind; of fewer the AUC says nothing

struct RefusalRule {
  int64_t answerable = 0, unanswerable = 0;  // questions it was judged on
  double auc = 0;                            // of Found::support; 0.5 says nothing, 0 where either kind is missing
  std::optional<double> threshold;           // below it the answer is a refusal; none where AUC or items are too few
};

// Over the items that are looked up. The threshold is the one that refuses most of the unanswerable
// less the answerable questions (Youden 1950), the lowest of equals.
RefusalRule CalibrateRefusal(const Index& index, std::span<const Item> items);

// P(a > b) + P(a = b)/2 for a value of each list (Mann and Whitney 1947); 0 where one is empty.
double AreaUnderCurve(std::span<const double> greater, std::span<const double> less);

}  // namespace qad

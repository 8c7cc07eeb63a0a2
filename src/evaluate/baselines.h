// What can be had without a language model. An arm that does not beat these has learned nothing.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "results/results.h"
#include "text/dataset.h"

namespace qad {

inline constexpr std::string_view kMajorityArm = "majority";
inline constexpr std::string_view kLogisticArm = "tfidf-logreg";
inline constexpr std::string_view kNearestArm = "nearest-question";
inline constexpr std::array kBaselineArms = {kMajorityArm, kLogisticArm, kNearestArm};

// majority          schema items: each field's most frequent value in train
// tfidf-logreg      schema items: logistic regression over TF-IDF, one for each field
// nearest-question  other items: the answer to the most similar training question (cosine of TF-IDF); empty where no
//                   training question shares a word
// Scored samples, arm by arm, in the order of `eval`; {"text"} items and items whose fields train does not have are
// left out, and so is an arm that has nothing to learn from.
std::vector<Sample> ModelFreeBaselines(std::span<const Item> train, std::span<const Item> eval);

// The arms above that have samples, marked as baselines.
std::vector<ArmInfo> BaselineArms(std::span<const Sample> samples);

}  // namespace qad

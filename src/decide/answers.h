// Answers read from comparisons and rows beside the choice itself: who wins on which kind of task, what quantization
// does, and whether the pattern that people expect shows in these results.
#pragma once

#include <string_view>
#include <vector>

#include "results/decision.h"
#include "results/results.h"

namespace qad {

// One per slice that a metric of right and wrong judges, by topic: behaviour, stable facts, changing facts,
// unanswerable, then every slice that belongs to none of these under its own name. One with an empty slice for each of
// the four without any. The opponent is the best arm of another kind (prompt, adapter, RAG, both), not one that only
// adds to the winner. The paired comparison is the declared one, else made from the samples (exploratory), else
// missing: "cannot tell".
std::vector<TopicAnswer> AnswerTopics(const Results& results, const std::vector<Sample>& samples);

// The first answer of a topic that has a slice; null where none has.
const TopicAnswer* FindTopic(const std::vector<TopicAnswer>& topics, std::string_view topic);

// Every arm that differs from the base only in its weights, smallest first. Equivalent where the KL divergence on text
// is at most kEquivalentKl with its whole interval; without such a row by a comparison's verdict.
std::vector<QuantizationAnswer> AnswerQuantization(const Results& results);

// The statements, judged on topics and quantization: five, and a sixth where an adapter was trained again.
std::vector<PatternStatement> CheckPattern(const Results& results, const std::vector<Sample>& samples,
                                           const std::vector<QuantizationAnswer>& quantization);

// better − than on a slice: the declared comparison in either direction, else one made from samples with the run's
// confidence, bootstrap and seed, else n = 0. Errors (kInput): the run's settings are out of range.
Comparison FindOrMake(const Results& results, const std::vector<Sample>& samples, const std::string& better,
                      const std::string& than, const std::string& slice, const std::string& metric);

// The arm without anything added: the fewest moving parts among those without adapter and prompting; null where none.
const ArmInfo* BaseArm(const Results& results);

}  // namespace qad

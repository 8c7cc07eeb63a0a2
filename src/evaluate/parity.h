// How far two forms of one model are apart where they answer: a trained model and what it becomes on its way into
// production.
#pragma once

#include <span>
#include <vector>

#include "evaluate/perplexity.h"
#include "text/tokenizer.h"

namespace qad {

// Both with one token at least; the prompt is given, the answer is what is scored.
struct GivenAnswer {
  std::vector<TokenId> prompt, answer;
};

// Means over the tokens of one answer.
struct AnswerDistance {
  double kl = 0;                   // D(reference ‖ model), nats per token
  double same_top1 = 0;            // share of tokens
  double log_likelihood_lost = 0;  // reference − model, nats per token of the answer; above 0: the model is worse
};

// One for each answer, in their order. Prompts go through both models as prompts do, answers as they are decoded; many
// are run together, which changes nothing. Errors (kInput): an
// answer beyond the positions of either model, another vocabulary, as RequireRoom; (kNumeric) logits not finite.
std::vector<AnswerDistance> CompareAnswers(const ScoredModel& model, const ScoredModel& reference,
                                           std::span<const GivenAnswer> answers);

}  // namespace qad

#include "evaluate/parity.h"

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "evaluate/row_score.h"
#include "model/footprint.h"

namespace qad {
namespace {

constexpr size_t kRowsAtOnce = 512, kAnswersAtOnce = 16;
constexpr size_t kLogitsAtOnce = 64;  // rows of logits that exist at once

size_t Length(const GivenAnswer& given) { return given.prompt.size() + given.answer.size() - 1; }

// Part of a pass: tokens of every answer from `starts` on, and what their rows predict.
struct Step {
  RowsAre as = RowsAre::kOfPrompts;
  std::vector<size_t> starts;
  std::vector<std::vector<TokenId>> tokens;
  std::vector<size_t> rows;
  std::vector<TokenId> targets;
  std::vector<size_t> answer_of;  // by row

  bool empty() const { return rows.empty(); }
};

// Answers that go through the model together: their prompts, whose last rows predict the first tokens, and then, as
// answers are decoded, the tokens of the answers but the last.
struct Pass {
  Step prompts, answers;
  size_t count = 0;
};

Pass PassOf(std::span<const GivenAnswer> all, size_t first) {
  Pass pass;
  pass.answers.as = RowsAre::kOfAnswers;
  size_t prompt_rows = 0, answer_rows = 0;
  for (size_t i = first; i < all.size() && pass.count < kAnswersAtOnce; ++i, ++pass.count) {
    const auto& [prompt, answer] = all[i];
    if (pass.count > 0 && prompt_rows + answer_rows + Length(all[i]) > kRowsAtOnce) break;
    pass.prompts.starts.push_back(0);
    pass.prompts.tokens.push_back(prompt);
    prompt_rows += prompt.size();
    pass.prompts.rows.push_back(prompt_rows - 1);
    pass.prompts.targets.push_back(answer.front());
    pass.prompts.answer_of.push_back(i);
    pass.answers.starts.push_back(prompt.size());
    pass.answers.tokens.emplace_back(answer.begin(), answer.end() - 1);
    for (size_t k = 1; k < answer.size(); ++k) {
      pass.answers.rows.push_back(answer_rows++);
      pass.answers.targets.push_back(answer[k]);
      pass.answers.answer_of.push_back(i);
    }
  }
  return pass;
}

// Errors (kInput): as CompareAnswers.
void RequireComparable(const ScoredModel& model, const ScoredModel& reference, size_t longest) {
  const ModelConfig &ours = model.transformer->config(), &theirs = reference.transformer->config();
  if (ours.vocab != theirs.vocab)
    FailInput("the reference has {} tokens in its vocabulary, the model {}; they cannot be compared", theirs.vocab,
              ours.vocab);
  if (const size_t positions = std::min(ours.max_positions, theirs.max_positions); longest > positions)
    FailInput("a prompt with its answer has {} tokens; the models have {} positions", longest, positions);
  RequireRoom(ours, 2 * kAnswersAtOnce, longest, FormatId::kF32, AvailableMemoryBytes());
}

// One of the two models, with its cache.
class Side {
 public:
  Side(const ScoredModel& model, size_t slots, size_t capacity)
      : model_(model),
        cache_(model.transformer->config(), slots, capacity, FormatId::kF32),
        logits_(kLogitsAtOnce * model.transformer->config().vocab) {}

  void Run(const Step& step) {
    const ScopedSetting as(model_.context->rows, step.as);
    std::vector<Segment> segments;
    for (size_t slot = 0; slot < step.tokens.size(); ++slot)
      if (!step.tokens[slot].empty())
        segments.push_back({.slot = slot, .start = step.starts[slot], .tokens = step.tokens[slot]});
    model_.transformer->Run(*model_.context, segments, cache_);
  }
  // After rows of the last Run, kLogitsAtOnce at most.
  const float* Logits(std::span<const size_t> rows, RowsAre are) {
    const ScopedSetting as(model_.context->rows, are);
    model_.transformer->Logits(*model_.context, rows, logits_.data());
    return logits_.data();
  }

 private:
  ScoredModel model_;
  KvCache cache_;
  std::vector<float> logits_;
};

void AddScores(const Step& step, Side& model, Side& reference, size_t vocab, std::vector<AnswerDistance>& sums) {
  if (step.empty()) return;
  model.Run(step);
  reference.Run(step);
  for (size_t begin = 0; begin < step.rows.size(); begin += kLogitsAtOnce) {
    const size_t count = std::min(kLogitsAtOnce, step.rows.size() - begin);
    const std::span<const size_t> rows = std::span(step.rows).subspan(begin, count);
    const float *ours = model.Logits(rows, step.as), *theirs = reference.Logits(rows, step.as);
    const std::vector<RowScore> scores = ScoreRows(ours, theirs, vocab, std::span(step.targets).subspan(begin, count));
    for (size_t r = 0; r < count; ++r) {
      if (!scores[r].IsFinite()) Fail(ErrorKind::kNumeric, "the logits are not finite; are the weights damaged?");
      AnswerDistance& sum = sums[step.answer_of[begin + r]];
      sum.kl += scores[r].kl;
      sum.same_top1 += scores[r].same_top ? 1 : 0;
      sum.log_likelihood_lost += scores[r].reference_log_probability - scores[r].log_probability;
    }
  }
}

}  // namespace

std::vector<AnswerDistance> CompareAnswers(const ScoredModel& model, const ScoredModel& reference,
                                           std::span<const GivenAnswer> answers) {
  size_t longest = 0;
  for (const GivenAnswer& given : answers) {
    QAD_CHECK(!given.prompt.empty() && !given.answer.empty());
    longest = std::max(longest, Length(given));
  }
  std::vector<AnswerDistance> distances(answers.size());
  if (answers.empty()) return distances;
  RequireComparable(model, reference, longest);
  Side ours(model, kAnswersAtOnce, longest), theirs(reference, kAnswersAtOnce, longest);
  for (size_t first = 0; first < answers.size();) {
    ThrowIfInterrupted();
    const Pass pass = PassOf(answers, first);
    for (const Step* step : {&pass.prompts, &pass.answers})
      AddScores(*step, ours, theirs, model.transformer->config().vocab, distances);
    first += pass.count;
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto tokens = static_cast<double>(answers[i].answer.size());
    distances[i].kl /= tokens;
    distances[i].same_top1 /= tokens;
    distances[i].log_likelihood_lost /= tokens;
  }
  return distances;
}

}  // namespace qad

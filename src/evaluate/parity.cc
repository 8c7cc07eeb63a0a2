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

// Answers that go through the model together.
struct Pass {
  std::vector<std::vector<TokenId>> tokens;  // of each, without the answer's last
  std::vector<size_t> rows;                  // that predict a token of an answer
  std::vector<TokenId> targets;
  std::vector<size_t> answer_of;  // by row
};

Pass PassOf(std::span<const GivenAnswer> answers, size_t first) {
  Pass pass;
  size_t rows = 0;
  for (size_t i = first; i < answers.size() && pass.tokens.size() < kAnswersAtOnce; ++i) {
    const GivenAnswer& given = answers[i];
    if (!pass.tokens.empty() && rows + Length(given) > kRowsAtOnce) break;
    std::vector<TokenId>& tokens = pass.tokens.emplace_back(given.prompt);
    tokens.insert(tokens.end(), given.answer.begin(), given.answer.end() - 1);
    for (size_t k = 0; k < given.answer.size(); ++k) {
      pass.rows.push_back(rows + given.prompt.size() - 1 + k);
      pass.targets.push_back(given.answer[k]);
      pass.answer_of.push_back(i);
    }
    rows += tokens.size();
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

  void Run(const Pass& pass) {
    std::vector<Segment> segments;
    for (size_t slot = 0; slot < pass.tokens.size(); ++slot)
      segments.push_back({.slot = slot, .start = 0, .tokens = pass.tokens[slot]});
    model_.transformer->Run(*model_.context, segments, cache_);
  }
  // After rows of the last Run, kLogitsAtOnce at most.
  const float* Logits(std::span<const size_t> rows) {
    model_.transformer->Logits(*model_.context, rows, logits_.data());
    return logits_.data();
  }

 private:
  ScoredModel model_;
  KvCache cache_;
  std::vector<float> logits_;
};

void AddScores(const Pass& pass, Side& model, Side& reference, size_t vocab, std::vector<AnswerDistance>& sums) {
  for (size_t begin = 0; begin < pass.rows.size(); begin += kLogitsAtOnce) {
    const size_t count = std::min(kLogitsAtOnce, pass.rows.size() - begin);
    const std::span<const size_t> rows = std::span(pass.rows).subspan(begin, count);
    const float* ours = model.Logits(rows);
    const std::vector<RowScore> scores =
        ScoreRows(ours, reference.Logits(rows), vocab, std::span(pass.targets).subspan(begin, count));
    for (size_t r = 0; r < count; ++r) {
      if (!scores[r].IsFinite()) Fail(ErrorKind::kNumeric, "the logits are not finite; are the weights damaged?");
      AnswerDistance& sum = sums[pass.answer_of[begin + r]];
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
    ours.Run(pass);
    theirs.Run(pass);
    AddScores(pass, ours, theirs, model.transformer->config().vocab, distances);
    first += pass.tokens.size();
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

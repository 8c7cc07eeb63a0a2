// Distances between two models where they answer, against the same from Forward's logits, one answer after the other.
#include "evaluate/parity.h"

#include <cmath>

#include "base/random.h"
#include "base/test_files.h"
#include "kernels/matrix.h"
#include "model/model_testing.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

class Parity : public ::testing::Test {
 protected:
  std::vector<GivenAnswer> RandomAnswers(size_t count) {
    Random random(3);
    const auto tokens = [&](size_t length) {
      std::vector<TokenId> text(length);
      for (TokenId& token : text) token = static_cast<TokenId>(random.Below(model_.config().vocab));
      return text;
    };
    std::vector<GivenAnswer> answers;
    for (size_t i = 0; i < count; ++i) answers.push_back({tokens(1 + i % 7), tokens(1 + (3 * i) % 5)});
    return answers;
  }
  std::vector<double> LogSoftmax(Transformer& model, const std::vector<TokenId>& text, size_t row) {
    const size_t vocab = model.config().vocab;
    const PackedBatch batch{.tokens = text, .labels = {}, .lengths = {text.size()}};
    const std::vector<float> logits = AllLogits(context_, model, batch);
    std::vector<double> values(logits.begin() + static_cast<std::ptrdiff_t>(row * vocab),
                               logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * vocab));
    double sum = 0;
    for (const double x : values) sum += std::exp(x);
    for (double& x : values) x -= std::log(sum);
    return values;
  }
  AnswerDistance Direct(const GivenAnswer& given) {
    std::vector<TokenId> text = given.prompt;
    text.insert(text.end(), given.answer.begin(), given.answer.end());
    AnswerDistance sum;
    for (size_t k = 0; k < given.answer.size(); ++k) {
      const size_t row = given.prompt.size() + k - 1;
      const std::vector<double> ours = LogSoftmax(model_, text, row), theirs = LogSoftmax(other_, text, row);
      for (size_t v = 0; v < ours.size(); ++v) sum.kl += std::exp(theirs[v]) * (theirs[v] - ours[v]);
      sum.same_top1 +=
          std::ranges::max_element(ours) - ours.begin() == std::ranges::max_element(theirs) - theirs.begin();
      const auto target = static_cast<size_t>(given.answer[k]);
      sum.log_likelihood_lost += theirs[target] - ours[target];
    }
    const auto tokens = static_cast<double>(given.answer.size());
    return {sum.kl / tokens, sum.same_top1 / tokens, sum.log_likelihood_lost / tokens};
  }

  Context context_{Numerics::kExact, 2};
  Transformer model_ = LoadTransformer(TinyPath("gpt2")), other_ = LoadTransformer(TinyPath("gpt2-narrow"));
};

TEST_F(Parity, EqualsWhatLogitsSay) {
  const std::vector<GivenAnswer> answers = RandomAnswers(37);  // more than one pass
  const std::vector<AnswerDistance> got = CompareAnswers({&context_, &model_}, {&context_, &other_}, answers);
  ASSERT_EQ(got.size(), answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    const AnswerDistance want = Direct(answers[i]);
    EXPECT_NEAR(got[i].kl, want.kl, 2e-5) << i;
    EXPECT_EQ(got[i].same_top1, want.same_top1) << i;
    EXPECT_NEAR(got[i].log_likelihood_lost, want.log_likelihood_lost, 2e-5) << i;
    EXPECT_GT(got[i].kl, 0.001) << "two models";
  }
}

TEST_F(Parity, AModelIsNoDistanceFromItself) {
  for (const AnswerDistance& distance : CompareAnswers({&context_, &model_}, {&context_, &model_}, RandomAnswers(5))) {
    EXPECT_NEAR(distance.kl, 0, 1e-6);
    EXPECT_EQ(distance.same_top1, 1);
    EXPECT_EQ(distance.log_likelihood_lost, 0);
  }
  EXPECT_TRUE(CompareAnswers({&context_, &model_}, {&context_, &model_}, {}).empty());
}

TEST_F(Parity, WhatIsTooLongIsRefused) {
  const std::vector<GivenAnswer> long_one = {{std::vector<TokenId>(model_.config().max_positions, 1), {1, 2}}};
  EXPECT_TRUE(Fails(
      [&] {
        CompareAnswers({&context_, &model_}, {&context_, &other_}, long_one);
      },
      ErrorKind::kInput, {"positions"}));
}

}  // namespace
}  // namespace qad

// The sums of the measurement against the same sums in f64, straight from Forward's logits.
#include "evaluate/perplexity.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "base/test_files.h"
#include "kernels/matrix.h"
#include "model/footprint.h"
#include "model/model_testing.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

// The program takes log-sum-exps in f32: values of some 20 carry 20·2^-24 ≈ 1e-6 each.
constexpr double kTolerance = 1e-5;
constexpr size_t kWindow = 16;

std::vector<TokenId> RandomText(size_t tokens, size_t vocab) {
  Random random(7);
  std::vector<TokenId> text(tokens);
  for (TokenId& token : text) token = static_cast<TokenId>(random.Below(vocab));
  return text;
}

// log p of every token after each position of one window.
std::vector<std::vector<double>> LogProbabilities(Context& context, Transformer& model, std::span<const TokenId> text) {
  const size_t vocab = model.config().vocab;
  const PackedBatch batch{.tokens = {text.begin(), text.end()}, .labels = {}, .lengths = {text.size()}};
  const std::vector<float> logits = AllLogits(context, model, batch);
  std::vector<std::vector<double>> rows;
  for (size_t t = 0; t < text.size(); ++t) {
    std::vector<double> row(logits.begin() + static_cast<std::ptrdiff_t>(t * vocab),
                            logits.begin() + static_cast<std::ptrdiff_t>((t + 1) * vocab));
    const double top = *std::ranges::max_element(row);
    double sum = 0;
    for (const double x : row) sum += std::exp(x - top);
    for (double& x : row) x -= top + std::log(sum);
    rows.push_back(std::move(row));
  }
  return rows;
}

struct MeanAndError {
  double mean, error;
};
MeanAndError MeanOf(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

class PerplexityTest : public ::testing::Test {
 protected:
  PerplexityResult Measure(std::span<const TokenId> text, PerplexityOptions options, bool with_reference = false) {
    options.context = kWindow;
    options.quiet = true;
    const ScoredModel model{&context_, &model_}, other{&context_, &other_};
    return Perplexity(model, with_reference ? &other : nullptr, text, options);
  }
  // −log p of the tokens first … kWindow − 1 of each whole window.
  std::vector<double> Direct(std::span<const TokenId> text, size_t first, std::optional<TokenId> bos = {}) {
    std::vector<double> losses;
    for (size_t at = 0; at + kWindow <= text.size(); at += kWindow) {
      std::vector<TokenId> window(text.begin() + static_cast<std::ptrdiff_t>(at),
                                  text.begin() + static_cast<std::ptrdiff_t>(at + kWindow));
      if (bos) window.front() = *bos;
      const auto rows = LogProbabilities(context_, model_, window);
      for (size_t t = first; t < kWindow; ++t) losses.push_back(-rows[t - 1][static_cast<size_t>(window[t])]);
    }
    return losses;
  }
  void ExpectEqual(const PerplexityResult& got, const std::vector<double>& losses) {
    const MeanAndError want = MeanOf(losses);
    EXPECT_EQ(got.tokens, losses.size());
    EXPECT_NEAR(got.perplexity / std::exp(want.mean), 1, kTolerance);
    EXPECT_NEAR(got.perplexity_stderr / (std::exp(want.mean) * want.error), 1, kTolerance);
  }

  Context context_{Numerics::kExact, 2};
  Transformer model_ = LoadTransformer(TinyPath("gpt2")), other_ = LoadTransformer(TinyPath("gpt2-narrow"));
  size_t vocab_ = model_.config().vocab;
};

TEST_F(PerplexityTest, EveryPositionAfterTheFirst) {
  const std::vector<TokenId> text = RandomText(3 * kWindow, vocab_);
  const PerplexityResult got = Measure(text, {});
  EXPECT_EQ(got.windows, 3u);
  EXPECT_EQ(got.tokens, 3 * (kWindow - 1));
  EXPECT_FALSE(got.has_reference);
  ExpectEqual(got, Direct(text, 1));
}

TEST_F(PerplexityTest, TheSecondHalfAsLlamaPerplexity) {
  const std::vector<TokenId> text = RandomText(3 * kWindow, vocab_);
  const PerplexityResult got = Measure(text, {.protocol = WindowProtocol::kLlamaCpp});
  EXPECT_EQ(got.tokens, 3 * (kWindow / 2 - 1));
  ExpectEqual(got, Direct(text, kWindow / 2 + 1));
}

// Windows longer than a step of the model are run in several.
TEST_F(PerplexityTest, LongWindowsGoInSteps) {
  const TempFolder folder;
  std::string json = tiny::kLlama;
  const std::string positions = "\"max_position_embeddings\": 40";
  json.replace(json.find(positions), positions.size(), "\"max_position_embeddings\": 4096");
  tiny::WriteFolder(folder / "model", json.c_str(), DType::kF32);
  Transformer model = LoadTransformer(folder / "model");
  const size_t window = 2 * StepRows(model.config()) + 30, vocab = model.config().vocab;
  const std::vector<TokenId> text = RandomText(window, vocab);
  const ScoredModel scored{&context_, &model};
  const PerplexityResult got = Perplexity(scored, &scored, text, {.context = window, .quiet = true});
  const auto rows = LogProbabilities(context_, model, text);
  std::vector<double> losses;
  for (size_t t = 1; t < window; ++t) losses.push_back(-rows[t - 1][static_cast<size_t>(text[t])]);
  ExpectEqual(got, losses);
  EXPECT_NEAR(got.kl_divergence, 0, kTolerance);
}

TEST_F(PerplexityTest, TheLastPartialWindowIsDropped) {
  const std::vector<TokenId> text = RandomText(3 * kWindow - 1, vocab_);
  const PerplexityResult got = Measure(text, {});
  EXPECT_EQ(got.windows, 2u);
  ExpectEqual(got, Direct(std::span(text).first(2 * kWindow), 1));
  EXPECT_EQ(Measure(text, {.max_windows = 1}).windows, 1u);
}

TEST_F(PerplexityTest, BosStandsInTheFirstTokensPlace) {
  const std::vector<TokenId> text = RandomText(2 * kWindow, vocab_);
  const TokenId bos = text[0] == 5 ? 6 : 5;
  const PerplexityResult got = Measure(text, {.bos = bos});
  ExpectEqual(got, Direct(text, 1, bos));
  EXPECT_NE(got.perplexity, Measure(text, {}).perplexity);
}

// Answers meet codes with int8 activations on every target; prompts, where their f32 or bf16 is as quick, do not.
TEST_F(PerplexityTest, ATextMayBeMultipliedAsAnswersAre) {
  const TempFolder folder;
  tiny::WriteGguf(folder / "codes.gguf", FormatId::kQ8_0);
  Transformer codes = LoadTransformer(folder / "codes.gguf");
  Context fast(Numerics::kFast, 2);
  const std::vector<TokenId> text = RandomText(2 * kWindow, codes.config().vocab);
  const auto measure = [&](RowsAre rows, bool int8) {
    fast.int8_activations = int8;
    const ScoredModel model{&fast, &codes};
    return Perplexity(model, nullptr, text, {.context = kWindow, .rows = rows, .quiet = true}).perplexity;
  };
  const double answers = measure(RowsAre::kOfAnswers, true);
  EXPECT_NE(answers, measure(RowsAre::kOfAnswers, false));
  EXPECT_NEAR(answers / measure(RowsAre::kOfAnswers, false), 1, 0.01);  // activations to 1/254 of their largest
  if (fast.own_bf16() || !Int8OutrunsF32(Layout::kInt8Block)) {
    EXPECT_NE(answers, measure(RowsAre::kOfPrompts, true));
  }
}

TEST_F(PerplexityTest, AModelDoesNotDifferFromItself) {
  const std::vector<TokenId> text = RandomText(2 * kWindow, vocab_);
  const ScoredModel model{&context_, &model_};
  const PerplexityResult got = Perplexity(model, &model, text, {.context = kWindow, .quiet = true});
  EXPECT_TRUE(got.has_reference);
  EXPECT_EQ(got.kl_divergence, 0);
  EXPECT_EQ(got.kl_stderr, 0);
  EXPECT_EQ(got.same_top1, 1);
}

TEST_F(PerplexityTest, DivergenceIsFromTheReference) {
  const std::vector<TokenId> text = RandomText(2 * kWindow, vocab_);
  std::vector<double> divergences, same;
  for (size_t at = 0; at < text.size(); at += kWindow) {
    const auto window = std::span(text).subspan(at, kWindow);
    const auto model = LogProbabilities(context_, model_, window), other = LogProbabilities(context_, other_, window);
    for (size_t t = 0; t + 1 < kWindow; ++t) {
      double sum = 0;
      for (size_t i = 0; i < vocab_; ++i) sum += std::exp(other[t][i]) * (other[t][i] - model[t][i]);
      divergences.push_back(sum);
      same.push_back(std::ranges::max_element(model[t]) - model[t].begin() ==
                             std::ranges::max_element(other[t]) - other[t].begin()
                         ? 1
                         : 0);
    }
  }
  const MeanAndError want = MeanOf(divergences);
  const PerplexityResult got = Measure(text, {}, true);
  EXPECT_NEAR(got.kl_divergence / want.mean, 1, kTolerance);
  EXPECT_NEAR(got.kl_stderr / want.error, 1, kTolerance);
  EXPECT_DOUBLE_EQ(got.same_top1, MeanOf(same).mean);
  EXPECT_LT(got.same_top1, 1) << "these models should differ";
  EXPECT_EQ(got.perplexity, Measure(text, {}).perplexity) << "the reference changes nothing about the model";
}

TEST_F(PerplexityTest, WhatCannotBeMeasuredIsAnError) {
  const std::vector<TokenId> text = RandomText(200, vocab_);
  EXPECT_TRUE(Fails([&] { Measure(std::span(text).first(kWindow - 1), {}); }, ErrorKind::kInput,
                    {"15 tokens", "one window of 16", "--context"}));
  const ScoredModel model{&context_, &model_};
  EXPECT_TRUE(Fails([&] { Perplexity(model, nullptr, text, {.context = 65, .quiet = true}); }, ErrorKind::kInput,
                    {"65", "64 positions"}));
  Transformer stranger = LoadTransformer(TinyPath("llama-gqa"));
  const ScoredModel reference{&context_, &stranger};
  EXPECT_TRUE(Fails([&] { Perplexity(model, &reference, text, {.context = kWindow, .quiet = true}); },
                    ErrorKind::kInput, {"96", "80", "vocabulary"}));
}

TEST_F(PerplexityTest, LogitsThatAreNoNumbersAreAnError) {
  TinyAdapter adapter("gpt2", model_);
  adapter.peft.modules.front().b.front() = std::numeric_limits<float>::quiet_NaN();
  const std::vector<TokenId> text = RandomText(kWindow, vocab_);
  EXPECT_TRUE(Fails([&] { Measure(text, {}); }, ErrorKind::kNumeric, {"window 0", "not finite"}));
}

}  // namespace
}  // namespace qad

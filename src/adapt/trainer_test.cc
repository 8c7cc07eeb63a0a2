#include "adapt/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <numeric>

#include "adapt/adapt_testing.h"
#include "adapt/checkpoint.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/testing.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

class TrainGoldens : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, TrainGoldens, ::testing::Values("llama-gqa", "llama-bias", "gpt2"));

// Ten steps of AdamW with clipping and weight decay, from PEFT's own adapter: PEFT's losses and gradient norms.
TEST_P(TrainGoldens, TenLossesEqualPefts) {
  const Json golden = TestModelGolden(GetParam());
  const Json& settings = golden["training"];
  for (const int micro_batch_tokens : {0, 13}) {
    Transformer model = LoadTransformer(TinyPath(GetParam()));
    Context context(Numerics::kExact, 1);
    LoraAdapter adapter(model, TinyPath(GetParam()) / "adapter");
    const TrainOptions options{.epochs = 10,
                               .batch_size = 3,
                               .micro_batch_tokens = micro_batch_tokens,
                               .learning_rate = settings["learning_rate"],
                               .schedule = Schedule::kConstant,
                               .warmup_ratio = 0,
                               .weight_decay = settings["weight_decay"],
                               .max_grad_norm = settings["max_grad_norm"],
                               .exact = true};
    TrainHooks hooks = Quiet();
    std::vector<float> norms;
    hooks.on_step = [&](const TrainProgress& done) { norms.push_back(static_cast<float>(done.gradient_norm)); };
    const TrainResult result = Train(context, model, adapter, GoldenExamples(golden), {}, options, 0, hooks);
    const std::vector<float> losses(result.losses.begin(), result.losses.end());
    // f32 on both sides: gradients agree to about 1e-5, and ten steps of 0.01 carry that into the losses.
    EXPECT_TRUE(AllClose(losses, settings["losses"].get<std::vector<float>>(), 0, 1e-4));
    EXPECT_TRUE(AllClose(norms, settings["gradient_norms"].get<std::vector<float>>(), 0, 1e-3));
  }
}

// A pass for each sequence shares nothing: of prompted examples this compares shared with unshared beginnings, too.
TEST(Train, GradientAccumulationEqualsOneBigBatch) {
  for (const ExampleSet& train : {RandomExamples(12, 96, 2), PromptedExamples(12)}) {
    TrainOptions one = TinyOptions(), many = TinyOptions();
    one.micro_batch_tokens = 10000;
    many.micro_batch_tokens = 1;
    const LoraOptions lora{.dropout = 0};  // masks go by pass
    const Trained a = TrainTiny(train, {}, one, Quiet(), lora), b = TrainTiny(train, {}, many, Quiet(), lora);
    const std::vector<float> x(a.result.losses.begin(), a.result.losses.end()),
        y(b.result.losses.begin(), b.result.losses.end());
    // The same sum in another order: f32 rounding of gradients, carried through nine steps.
    EXPECT_TRUE(AllClose(y, x, 0, 1e-4));
    EXPECT_EQ(a.result.supervised_tokens, b.result.supervised_tokens);
    EXPECT_EQ(a.result.tokens, b.result.tokens) << "those of the examples, shared or not";
  }
}

TEST(Train, SameSeedSameBitsForAnyNumberOfThreads) {
  for (const ExampleSet& train : {RandomExamples(12, 96, 2), PromptedExamples(12)}) {
    const ExampleSet dev = RandomExamples(3, 96, 9);
    const LoraOptions lora{.dropout = 0.1};
    const Trained one = TrainTiny(train, dev, TinyOptions(), Quiet(), lora, 1),
                  two = TrainTiny(train, dev, TinyOptions(), Quiet(), lora, 2);
    EXPECT_EQ(one.values, two.values);
    EXPECT_EQ(one.result.losses, two.result.losses);
    EXPECT_EQ(one.result.validation_losses, two.result.validation_losses);
    EXPECT_NE(TrainTiny(train, dev, TinyOptions(), Quiet(), lora, 2, 5).result.losses, one.result.losses);
  }
}

TEST(Train, OverfitsAFewExamples) {
  const ExampleSet train = RandomExamples(4, 96, 3);
  TrainOptions options = TinyOptions();
  options.epochs = 150;
  options.batch_size = 4;
  const Trained run = TrainTiny(train, {}, options, Quiet(), {.r = 16, .dropout = 0});
  EXPECT_GT(run.result.losses.front(), 4.0) << "untrained: about log(96) or worse";
  // The final norm bounds hidden states to length √32 and this model's head rows are about 1.1 long: logits of at most
  // 6.4 over 96 tokens cannot bring the loss much below 0.27.
  EXPECT_LT(run.result.losses.back(), 0.3);
}

TEST(Train, LossIsTheMeanOverSupervisedTokensOnly) {
  ExampleSet train = RandomExamples(2, 96, 3);
  for (TrainExample& example : train.examples) std::fill_n(example.labels.begin(), 2, kNotSupervised);
  TrainOptions options = TinyOptions();
  options.epochs = 1;
  const Trained run = TrainTiny(train, {}, options, Quiet());
  const auto supervised = train.examples[0].supervised() + train.examples[1].supervised();
  EXPECT_EQ(run.result.supervised_tokens, static_cast<int64_t>(supervised));
  EXPECT_EQ(run.result.tokens, static_cast<int64_t>(train.tokens()));
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));  // B starts at zero: the first loss is the base's
  Context context(Numerics::kExact, 1);
  EXPECT_NEAR(run.result.losses[0], ValidationLoss(context, model, train, 512), 1e-5);  // f32 sums in another order
}

TEST(Train, KeepsTheEpochThatValidatesBest) {
  // Trained on one text and validated on another, random one: validation gets worse as training goes on.
  const ExampleSet train = RandomExamples(4, 96, 3), dev = RandomExamples(4, 96, 9);
  TrainOptions options = TinyOptions();
  options.epochs = 12;
  options.learning_rate = 0.02;
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  Context context(Numerics::kExact, 1);
  LoraAdapter adapter(model, {.dropout = 0}, 1);
  const TrainResult result = Train(context, model, adapter, train, dev, options, 1, Quiet());
  ASSERT_EQ(result.validation_losses.size(), 12u);
  const auto best = std::ranges::min_element(result.validation_losses) - result.validation_losses.begin();
  ASSERT_LT(best, 11) << "the case has to be one where the last epoch is not the best";
  EXPECT_EQ(result.best_step, result.validation_steps[static_cast<size_t>(best)]);
  EXPECT_EQ(ValidationLoss(context, model, dev, 24), *std::ranges::min_element(result.validation_losses))
      << "the adapter left attached is the best one";
}

TEST(Train, KeepsTheEpochThatScoresBestThenLosesLeast) {
  const ExampleSet train = RandomExamples(4, 96, 3), dev = RandomExamples(4, 96, 9);
  TrainOptions options = TinyOptions();
  options.epochs = 5;
  options.learning_rate = 0.02;  // as above: the loss is lowest early
  const auto best_epoch = [&](const std::vector<double>& scores, bool keep_best) {
    options.keep_best = keep_best;
    TrainHooks hooks = Quiet();
    size_t asked = 0;
    hooks.score = [&] { return scores[asked++]; };
    const Trained trained = TrainTiny(train, dev, options, hooks);
    EXPECT_EQ(trained.result.validation_scores, scores);
    const auto& steps = trained.result.validation_steps;
    const auto kept = std::ranges::find(steps, trained.result.best_step);
    const auto epoch = static_cast<size_t>(kept - steps.begin());
    for (size_t i = 0; i < scores.size(); ++i) {  // none is better by (score, −loss)
      if (keep_best && scores[i] == scores[epoch]) {
        EXPECT_GE(trained.result.validation_losses[i], trained.result.validation_losses[epoch]);
      }
    }
    return epoch;
  };
  EXPECT_EQ(best_epoch({0.1, 0.2, 0.3, 0.9, 0.5}, true), 3u);
  EXPECT_EQ(best_epoch({0.9, 0.2, 0.3, 0.1, 0.5}, true), 0u);
  EXPECT_NE(best_epoch({0.5, 0.2, 0.3, 0.5, 0.5}, true), 1u);
  EXPECT_EQ(best_epoch({0.9, 0.2, 0.3, 0.1, 0.5}, false), 4u) << "keep: last";
}

TEST(Train, ValidatesEverySoManyStepsAndAfterEachEpoch) {
  const ExampleSet train = RandomExamples(14, 96, 2), dev = RandomExamples(3, 96, 9);
  TrainOptions options = TinyOptions();  // 4 steps an epoch
  options.validate_every = 3;
  const Trained often = TrainTiny(train, dev, options, Quiet()), once = TrainTiny(train, dev, TinyOptions(), Quiet());
  EXPECT_EQ(often.result.validation_steps, (std::vector<int64_t>{3, 4, 6, 8, 9, 12}));
  EXPECT_EQ(once.result.validation_steps, (std::vector<int64_t>{4, 8, 12}));
  EXPECT_EQ(often.result.losses, once.result.losses) << "to look changes nothing";
}

// Ends after so many validations without a better one, with the best; resumed anywhere it ends the same.
TEST(Train, StopsWhereNothingImproves) {
  const ExampleSet train = RandomExamples(4, 96, 3), dev = RandomExamples(4, 96, 9);  // validation soon gets worse
  TrainOptions options = TinyOptions();
  options.epochs = 40;
  options.learning_rate = 0.02;
  options.patience = 3;
  options.save_every = 1;
  const Trained stopped = TrainTiny(train, dev, options, Quiet());
  const std::vector<double>& losses = stopped.result.validation_losses;
  const auto best = std::ranges::min_element(losses) - losses.begin();
  ASSERT_LT(stopped.result.steps, 40);
  EXPECT_EQ(stopped.result.planned_steps, 40);
  EXPECT_EQ(static_cast<std::ptrdiff_t>(losses.size()), best + 1 + 3);
  EXPECT_EQ(stopped.result.best_step, stopped.result.validation_steps[static_cast<size_t>(best)]);
  for (const int64_t killed_after : {int64_t{2}, stopped.result.steps - 1, stopped.result.steps}) {
    TempFolder folder;
    TrainHooks hooks = Quiet();
    hooks.output = folder.path() / "adapter";
    hooks.on_step = [&](const TrainProgress& done) {
      if (done.step == killed_after) throw Killed{};
    };
    EXPECT_THROW(TrainTiny(train, dev, options, hooks), Killed);
    hooks.on_step = nullptr;
    const Trained resumed = TrainTiny(train, dev, options, hooks);
    EXPECT_EQ(resumed.values, stopped.values) << killed_after;
    EXPECT_EQ(resumed.result.validation_losses, losses) << killed_after;
  }
}

TEST(Train, RecomputingChangesNoBit) {
  const ExampleSet train = RandomExamples(14, 96, 2), dev = RandomExamples(3, 96, 9);
  TrainOptions again = TinyOptions();
  again.recompute = true;
  const LoraOptions lora{.dropout = 0.1, .rank_pattern = {{"layers.1.mlp.down_proj", 3}}};
  const Trained kept = TrainTiny(train, dev, TinyOptions(), Quiet(), lora),
                recomputed = TrainTiny(train, dev, again, Quiet(), lora);
  EXPECT_EQ(recomputed.values, kept.values);
  EXPECT_EQ(recomputed.result.tape_bytes, recomputed.result.tape_bytes_allocated);
  EXPECT_LT(recomputed.result.tape_bytes, kept.result.tape_bytes);
}

TEST(Train, PredictsTheBytesItAllocates) {
  for (const ExampleSet& train : {RandomExamples(14, 96, 2), PromptedExamples(14)})
    for (const int limit : {0, 24, 1}) {
      TrainOptions options = TinyOptions();
      options.epochs = 1;
      options.micro_batch_tokens = limit;
      const TrainResult result = TrainTiny(train, {}, options, Quiet()).result;
      EXPECT_EQ(result.tape_bytes, result.tape_bytes_allocated);
      EXPECT_EQ(result.adapter_bytes, result.trainable_parameters * 4);
      EXPECT_EQ(result.moment_bytes, result.trainable_parameters * 8);
    }
}

// --- Dropout.

TEST(Dropout, ZeroesAndScalesTheAdaptersInputOnly) {
  // Mean loss over many masks: with B = 0 dropout cannot matter; with PEFT's adapter it must, and differ by step.
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  Context context(Numerics::kExact, 1);
  const ExampleSet set = RandomExamples(3, 96, 2);
  PackedBatch batch;
  for (const TrainExample& example : set.examples) {
    batch.tokens.insert(batch.tokens.end(), example.tokens.begin(), example.tokens.end());
    batch.labels.insert(batch.labels.end(), example.labels.begin(), example.labels.end());
    batch.lengths.push_back(example.tokens.size());
  }
  TrainingPass pass(model);
  const auto loss = [&](float p, uint64_t seed, uint64_t step) {
    return pass.Run(context, batch, {.dropout = p, .seed = seed, .step = step, .backward = false});
  };
  LoraAdapter fresh(model, {}, 1);
  fresh.AttachTo(model);
  EXPECT_EQ(loss(0.5f, 1, 0), loss(0, 1, 0));
  LoraAdapter adapter(model, TinyPath("llama-gqa") / "adapter");
  adapter.AttachTo(model);
  EXPECT_NE(loss(0.5f, 1, 0), loss(0, 1, 0));
  EXPECT_NE(loss(0.5f, 1, 0), loss(0.5f, 1, 1));
  EXPECT_NE(loss(0.5f, 1, 0), loss(0.5f, 2, 0));
  EXPECT_EQ(loss(0.5f, 1, 3), loss(0.5f, 1, 3));
}

// A single adapter that copies its input: what it adds to the output is the dropped input itself.
TEST(Dropout, KeepsTheExpectedShareAndTheMean) {
  constexpr size_t kWidth = 32, kRows = 2048;
  std::vector<float> weight(kWidth * kWidth, 0.0f), identity(kWidth * kWidth, 0.0f), x(kRows * kWidth, 1.0f),
      y(kRows * kWidth);
  for (size_t i = 0; i < kWidth; ++i) identity[i * kWidth + i] = 1;
  const MatrixView view{.layout = Layout::kF32,
                        .rows = kWidth,
                        .cols = kWidth,
                        .codes = reinterpret_cast<const std::byte*>(weight.data()),
                        .stride_bytes = kWidth * sizeof(float)};
  Linear linear{.in = kWidth, .out = kWidth, .parts = {view}, .biases = {nullptr}, .adapters = {}};
  linear.adapters.push_back(
      {.first = 0, .outputs = kWidth, .rank = kWidth, .scale = 1, .a = identity.data(), .b = identity.data()});
  Context context(Numerics::kExact, 1);
  for (const float p : {0.05f, 0.5f}) {
    LinearForward(context, linear, x.data(), kRows, kWidth, y.data(), kWidth, false, {.p = p, .seed = 3, .stream = 9});
    size_t zeros = 0;
    for (const float value : y) {
      if (value == 0)
        ++zeros;
      else
        ASSERT_FLOAT_EQ(value, 1 / (1 - p));
    }
    const auto n = static_cast<double>(y.size());
    EXPECT_NEAR(static_cast<double>(zeros) / n, p, 5 * std::sqrt(p * (1 - p) / n));  // five deviations of a binomial
  }
}

}  // namespace
}  // namespace qad

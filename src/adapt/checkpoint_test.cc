// What an interrupted training leaves behind, and going on from it.
#include "adapt/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "adapt/adapt_testing.h"
#include "adapt/trainer.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/testing.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

TEST(Train, ResumesBitForBit) {
  const ExampleSet train = RandomExamples(14, 96, 2), dev = RandomExamples(3, 96, 9);
  const LoraOptions lora{.dropout = 0.1};
  const Trained whole = TrainTiny(train, dev, TinyOptions(), Quiet(), lora);
  ASSERT_EQ(whole.result.steps, 12);  // 4 an epoch, the last of two examples
  for (const int64_t killed_after : {3, 5, 11}) {
    TempFolder folder;
    TrainHooks hooks = Quiet();
    hooks.output = folder.path() / "adapter";
    hooks.on_step = [&](const TrainProgress& done) {
      if (done.step == killed_after) throw Killed{};  // as a crash would: between checkpoints
    };
    EXPECT_THROW(TrainTiny(train, dev, TinyOptions(), hooks, lora), Killed);
    hooks.on_step = nullptr;
    hooks.resume = true;
    const Trained resumed = TrainTiny(train, dev, TinyOptions(), hooks, lora, 2);
    EXPECT_EQ(resumed.result.resumed_from, killed_after / 2 * 2);
    EXPECT_EQ(resumed.result.losses, whole.result.losses);
    EXPECT_EQ(resumed.result.validation_losses, whole.result.validation_losses);
    EXPECT_EQ(resumed.result.best_step, whole.result.best_step);
    EXPECT_EQ(resumed.values, whole.values);
    EXPECT_FALSE(fs::exists(hooks.output / "checkpoint")) << "gone once the adapter is finished";
    const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
    EXPECT_TRUE(std::ranges::equal(LoraAdapter(model, hooks.output).values(), whole.values));
  }
}

TEST(Train, GoesOnUnaskedWhereItIsTheSameTraining) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  const Trained whole = TrainTiny(train, {}, TinyOptions(), Quiet());
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  const auto kill = [](const TrainProgress& done) {
    if (done.step == 5) throw Killed{};
  };
  hooks.on_step = kill;
  EXPECT_THROW(TrainTiny(train, {}, TinyOptions(), hooks), Killed);
  hooks.on_step = nullptr;
  const Trained resumed = TrainTiny(train, {}, TinyOptions(), hooks);
  EXPECT_EQ(resumed.result.resumed_from, 4);
  EXPECT_EQ(resumed.values, whole.values);
  hooks.on_step = kill;
  EXPECT_THROW(TrainTiny(train, {}, TinyOptions(), hooks), Killed);
  hooks.on_step = nullptr;
  TrainOptions other = TinyOptions();
  other.learning_rate *= 2;
  const Trained fresh = TrainTiny(train, {}, other, hooks);
  EXPECT_EQ(fresh.result.resumed_from, 0) << "another training's checkpoint is no start";
  EXPECT_EQ(fresh.values, TrainTiny(train, {}, other, Quiet()).values);
}

TEST(Train, RefusesToResumeSomethingElse) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  hooks.on_step = [](const TrainProgress& done) {
    if (done.step == 3) throw Killed{};
  };
  EXPECT_THROW(TrainTiny(train, {}, TinyOptions(), hooks), Killed);
  hooks.resume = true;
  TrainOptions other = TinyOptions();
  other.learning_rate *= 2;
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, other, hooks); }, ErrorKind::kUsage, {"train.learning_rate was", "is"}))
      << "other settings";
  EXPECT_TRUE(Fails([&] { TrainTiny(RandomExamples(14, 96, 3), {}, TinyOptions(), hooks); }, ErrorKind::kUsage,
                    {"training examples differ"}))
      << "other data";
  EXPECT_TRUE(
      Fails([&] { TrainTiny(train, {}, TinyOptions(), hooks, {.r = 4}); }, ErrorKind::kUsage, {"lora.r was 8, is 4"}))
      << "another adapter";
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, TinyOptions(), hooks, {}, 1, 7); }, ErrorKind::kUsage, {}))
      << "another seed";
  fs::resize_file(hooks.output / "checkpoint" / "trainer.safetensors", 100);
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, TinyOptions(), hooks); }, ErrorKind::kInput, {})) << "cut in half";
}

TEST(Train, NonFiniteLossKeepsWhatWasSaved) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  TrainTiny(train, {}, TinyOptions(), hooks);  // an earlier, finished training stands there
  const std::string before = ReadTextFile(hooks.output / "adapter_model.safetensors");
  TrainOptions options = TinyOptions();
  options.schedule = Schedule::kConstant;
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  Context context(Numerics::kExact, 1);
  LoraAdapter adapter(model, {}, 1);
  hooks.on_step = [&](const TrainProgress& done) {
    if (done.step == 3) adapter.values()[0] = std::numeric_limits<float>::infinity();
  };
  EXPECT_TRUE(Fails(
      [&] { Train(context, model, adapter, train, {}, options, 1, hooks); }, ErrorKind::kNumeric,
      {"training step 4 of 12: the loss, not finite behind layer 0 of ", ", on items item", "after step 2 is kept"}));
  EXPECT_EQ(ReadTextFile(hooks.output / "adapter_model.safetensors"), before);
  const LoraAdapter kept(model, hooks.output / "checkpoint");
  EXPECT_TRUE(std::ranges::all_of(kept.values(), [](float v) { return std::isfinite(v); }));
}

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

TEST(Train, KeepsTheLastCheckpoints) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  TrainOptions options = TinyOptions();  // a checkpoint every other step
  options.keep_checkpoints = 2;
  hooks.on_step = [&](const TrainProgress& done) {
    if (done.step == 9) throw Killed{};
  };
  EXPECT_THROW(TrainTiny(train, {}, options, hooks), Killed);
  EXPECT_EQ(NamesIn(hooks.output), (std::vector<std::string>{"checkpoint", "checkpoint-6", "checkpoint-8"}));
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraAdapter six(model, hooks.output / "checkpoint-6"), eight(model, hooks.output / "checkpoint-8"),
      last(model, hooks.output / "checkpoint");
  EXPECT_TRUE(std::ranges::equal(eight.values(), last.values()));
  EXPECT_FALSE(std::ranges::equal(six.values(), last.values()));
  hooks.on_step = nullptr;
  EXPECT_EQ(TrainTiny(train, {}, options, hooks).result.resumed_from, 8);
  EXPECT_FALSE(fs::exists(hooks.output / "checkpoint-8")) << "gone with the finished adapter";
}

TEST(Train, KeepsCheckpointsOfThisTrainingOnly) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  TrainOptions options = TinyOptions();  // a checkpoint every other step
  options.keep_checkpoints = 2;
  int64_t last = 9;
  hooks.on_step = [&](const TrainProgress& done) {
    if (done.step == last) throw Killed{};
  };
  EXPECT_THROW(TrainTiny(train, {}, options, hooks), Killed);
  options.learning_rate *= 2;
  last = 5;
  EXPECT_THROW(TrainTiny(train, {}, options, hooks), Killed);
  EXPECT_EQ(NamesIn(hooks.output), (std::vector<std::string>{"checkpoint", "checkpoint-2", "checkpoint-4"}));
  // As a kill leaves it between a checkpoint and keeping it.
  fs::remove_all(hooks.output / "checkpoint-4");
  EXPECT_THROW(TrainTiny(train, {}, options, hooks), Killed);
  EXPECT_EQ(NamesIn(hooks.output), (std::vector<std::string>{"checkpoint", "checkpoint-2", "checkpoint-4"}));
}

// Scales beyond reason: B is zero, so that the loss is finite, and its gradient is not.
TEST(Train, ABrokenGradientIsNamed) {
  const ExampleSet train = RandomExamples(4, 96, 2);
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  Context context(Numerics::kExact, 1);
  LoraAdapter adapter(model, {.alpha = 8e37, .target_modules = {"down_proj"}}, 1);
  for (float& value : adapter.values()) value *= 1e4f;
  TrainOptions options = TinyOptions();
  EXPECT_TRUE(Fails([&] { Train(context, model, adapter, train, {}, options, 1, Quiet()); }, ErrorKind::kNumeric,
                    {"training step 1 of 3", "the gradient of model.layers.", "mlp.down_proj.lora_B on items item"}));
}

TEST(Train, ARateThatDivergesIsANumericError) {
  TrainOptions options = TinyOptions();
  options.learning_rate = 1e30;
  options.warmup_ratio = 0;
  options.schedule = Schedule::kConstant;
  EXPECT_TRUE(Fails([&] { TrainTiny(RandomExamples(14, 96, 2), {}, options, Quiet()); }, ErrorKind::kNumeric, {}));
}

TEST(TrainDeathTest, InterruptSavesAndStops) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process of its own: an interrupt stays set
  EXPECT_EXIT(
      {
        bool saved = false;
        {  // std::exit() would leave the folder behind
          CatchInterrupts();
          const ExampleSet train = RandomExamples(14, 96, 2);
          TempFolder folder;
          TrainHooks hooks = Quiet();
          hooks.output = folder.path() / "adapter";
          hooks.on_step = [](const TrainProgress& done) {
            if (done.step == 5) std::raise(SIGINT);
          };
          const auto train_on = [&] { TrainTiny(train, {}, TinyOptions(), hooks); };
          const bool stopped = static_cast<bool>(Fails(train_on, ErrorKind::kInterrupted, {}));
          saved = stopped && ReadJsonFile(hooks.output / "checkpoint" / "trainer.json")["step"] == 5;
        }
        std::exit(saved ? 42 : 1);
      },
      ::testing::ExitedWithCode(42), "");
}

// Ctrl-C while the dev set is answered: the epoch's steps are kept, and the validation is done on resuming.
TEST(Train, AnInterruptedValidationLosesNothing) {
  const ExampleSet train = RandomExamples(14, 96, 2), dev = RandomExamples(3, 96, 9);
  TrainOptions options = TinyOptions();
  options.save_every = 100;
  TrainHooks hooks = Quiet();
  hooks.score = [] { return 1.0; };
  const Trained whole = TrainTiny(train, dev, options, hooks);
  TempFolder folder;
  hooks.output = folder.path() / "adapter";
  hooks.score = []() -> double { throw Error(ErrorKind::kInterrupted, "interrupted"); };
  EXPECT_TRUE(Fails([&] { TrainTiny(train, dev, options, hooks); }, ErrorKind::kInterrupted, {}));
  hooks.score = [] { return 1.0; };
  const Trained resumed = TrainTiny(train, dev, options, hooks);
  EXPECT_EQ(resumed.result.resumed_from, 4);
  EXPECT_EQ(resumed.result.validation_losses, whole.result.validation_losses);
  EXPECT_EQ(resumed.result.validation_steps, whole.result.validation_steps);
  EXPECT_EQ(resumed.values, whole.values);
  EXPECT_EQ(resumed.result.tokens, whole.result.tokens) << "of the whole training, not of its last part";
}

TEST(Train, RefusesToResumeOnAnotherBase) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  hooks.base.sha256 = "one";
  hooks.on_step = [](const TrainProgress& done) {
    if (done.step == 3) throw Killed{};
  };
  EXPECT_THROW(TrainTiny(train, {}, TinyOptions(), hooks), Killed);
  hooks.on_step = nullptr;
  hooks.base.sha256 = "other";
  hooks.resume = true;
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, TinyOptions(), hooks); }, ErrorKind::kUsage, {}));
  hooks.resume = false;
  EXPECT_EQ(TrainTiny(train, {}, TinyOptions(), hooks).result.resumed_from, 0);
}

// The same source, quantized otherwise; the same items, answered otherwise.
TEST(Train, RefusesToResumeOnOtherMadeWeightsOrUnderOtherScores) {
  const ExampleSet train = RandomExamples(14, 96, 2);
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  hooks.base = {.sha256 = "source", .format = "gptq-4", .made_sha256 = "group 64"};
  hooks.judged_by = "48 tokens";
  hooks.on_step = [](const TrainProgress& done) {
    if (done.step == 3) throw Killed{};
  };
  EXPECT_THROW(TrainTiny(train, {}, TinyOptions(), hooks), Killed);
  hooks.on_step = nullptr;
  hooks.resume = true;
  TrainHooks other = hooks;
  other.base.made_sha256 = "group 32";
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, TinyOptions(), other); }, ErrorKind::kUsage,
                    {"weights made of the base was \"group 64\", is \"group 32\""}));
  other = hooks;
  other.judged_by = "8 tokens";
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, TinyOptions(), other); }, ErrorKind::kUsage,
                    {"validation items and how they are answered"}));
  EXPECT_GT(TrainTiny(train, {}, TinyOptions(), hooks).result.resumed_from, 0);
}

// The step before was still good; what it made of the adapter is not, and is not kept.
TEST(Train, ANonFiniteValidationNamesItsStepAndKeepsNothing) {
  TempFolder folder;
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "adapter";
  TrainOptions options = TinyOptions();
  options.batch_size = 14;  // an epoch is one step
  options.learning_rate = 1e30;
  options.warmup_ratio = 0;
  options.schedule = Schedule::kConstant;
  EXPECT_TRUE(Fails([&] { TrainTiny(RandomExamples(14, 96, 2), RandomExamples(4, 96, 3), options, hooks); },
                    ErrorKind::kNumeric,
                    {"training step 1 of 3: the validation loss behind it is", "no adapter was saved before it"}));
  EXPECT_FALSE(fs::exists(hooks.output / "checkpoint"));
}

TEST(Train, AnUnwritableOutputIsAFailureAndLeavesThePlaceAlone) {
  TempFolder folder;
  WriteFileAtomic(folder.path() / "file", "not a folder");
  TrainHooks hooks = Quiet();
  hooks.output = folder.path() / "file" / "adapter";
  EXPECT_TRUE(Fails([&] { TrainTiny(RandomExamples(14, 96, 2), {}, TinyOptions(), hooks); }, ErrorKind::kFailed, {}));
  EXPECT_EQ(ReadTextFile(folder.path() / "file"), "not a folder");
}

TEST(Train, BadRequestsAreErrors) {
  const ExampleSet train = RandomExamples(4, 96, 2);
  EXPECT_TRUE(Fails([&] { TrainTiny({}, {}, TinyOptions(), Quiet()); }, ErrorKind::kInput, {}));
  TrainOptions options = TinyOptions();
  options.epochs = 0;
  EXPECT_TRUE(Fails([&] { TrainTiny(train, {}, options, Quiet()); }, ErrorKind::kUsage, {}));
  ExampleSet longer = train;
  longer.examples[0].tokens.assign(65, 1);
  longer.examples[0].labels.assign(65, 1);
  EXPECT_TRUE(Fails([&] { TrainTiny(longer, {}, TinyOptions(), Quiet()); }, ErrorKind::kInput, {}))
      << "the model has 64 positions";
}

}  // namespace
}  // namespace qad

#include "memory/training_math.h"

#include "base/error.h"
#include "memory/memory_testing.h"
#include "memory/torch_training.h"

namespace qad {
namespace {

TEST(AdapterOf, CountsRanksByPatternAndLayer) {
  const Plan llama = PlanInScheme(ConfigOfPreset("smollm2-135m"), *FindScheme("fp16"));  // hidden 576, 1,536 inside
  const AdapterSize size = AdapterOf(
      llama,
      {.r = 4, .targets = {"q_proj", "down_proj"}, .layers = {0, 7}, .rank_pattern = {{"layers.7.mlp.down_proj", 16}}});
  EXPECT_EQ(size.modules, 4u);
  EXPECT_EQ(size.ranks, 4u + 4 + 4 + 16);
  EXPECT_EQ(size.layer_ranks, 4u + 16);
  EXPECT_EQ(size.parameters, 2u * 4 * (576 + 576) + (4 + 16) * (1536 + 576));
}

TEST(Adapters, TargetsAreRolesOrEndsOfNames) {
  const Plan llama = PlanInScheme(ConfigOfPreset("smollm2-135m"), *FindScheme("bf16"));
  EXPECT_EQ(AdapterTargets(llama, {"q_proj", "v_proj"}).size(), 60u);
  EXPECT_EQ(AdapterTargets(llama, {"mlp.up_proj"}).size(), 30u);
  EXPECT_EQ(AdapterTargets(llama, {"all-linear"}).size(), 210u);
  // r=8 on all linear layers of SmolLM2-135M: PEFT's print_trainable_parameters says 2,442,240.
  EXPECT_EQ(AdapterOf(llama, {}).parameters, 2'442'240u);
  try {
    AdapterTargets(llama, {"q_porj"});
    FAIL() << "an unknown target was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'q_proj'?"), std::string::npos) << error.what();
  }
}

TEST(Training, QloraNeedsLessThanLoraNeedsLessThanFull) {
  const Plan plan = PlanInScheme(ConfigOfPreset("llama-3.1-8b"), *FindScheme("bf16"));
  uint64_t last = 0;
  for (const TrainingMethod method : {TrainingMethod::kQlora, TrainingMethod::kLora, TrainingMethod::kFull}) {
    const TrainingBase base = TrainingBaseOf(plan, "bf16", method);
    const TrainingMath math = TrainingMemory(base.plan, base.format, {.method = method});
    EXPECT_EQ(SumOf(math.parts), math.bytes);
    EXPECT_GT(math.bytes, last) << math.method;
    last = math.bytes;
  }
  EXPECT_GT(last, 16 * 8'030'261'248ull);  // 16 bytes a parameter before activations
}

TEST(Training, PointsAreTrainingsOfTheirTokensAndRanks) {
  const Plan plan = PlanInScheme(ConfigOfPreset("smollm2-135m"), *FindScheme("bf16"));
  const TrainingGrid grid{
      .methods = {{}, {.method = TrainingMethod::kFull}}, .sequences = {128, 512}, .batches = {1, 4}, .ranks = {8, 64}};
  const std::vector<TrainingPoint> points = TrainingPoints(plan, "bf16", grid);
  ASSERT_EQ(points.size(), 2u * 2 * 2 * 2 * 2);
  const auto at = [&](const std::string& method, int64_t sequence, int64_t batch, int64_t rank, bool recompute) {
    return std::ranges::find_if(points,
                                [&](const TrainingPoint& point) {
                                  return point.method == method && point.sequence == sequence && point.batch == batch &&
                                         point.rank == rank && point.recompute == recompute;
                                })
        ->bytes;
  };
  EXPECT_EQ(at("LoRA", 512, 4, 8, true),
            TrainingMemory(plan, "bf16", {.tokens = 2048, .tape = {.recompute = true}}).bytes);
  EXPECT_EQ(at("LoRA", 128, 4, 64, false), at("LoRA", 512, 1, 64, false));  // the same tokens, cut otherwise
  EXPECT_EQ(at("full", 512, 1, 8, false), at("full", 512, 1, 64, false));
  EXPECT_LT(at("LoRA", 512, 4, 8, true), at("LoRA", 512, 4, 8, false));
}

// The largest questions that the command takes have no small answers.
TEST(Training, AbsurdSizesDoNotWrap) {
  const Plan plan = PlanInScheme(ConfigOfPreset("llama-3.1-405b"), *FindScheme("bf16"));
  uint64_t last = 0;
  for (const uint64_t batch : {1, 1024, 4096, 1 << 20}) {
    const TrainingQuery query{.r = 1 << 16, .tokens = batch << 24};
    const uint64_t bytes = TrainingMemory(plan, "bf16", query).bytes;
    EXPECT_GE(bytes, last) << batch;
    last = bytes;
  }
  EXPECT_EQ(last, UINT64_MAX);
}

TEST(Training, TheLongestPassFitsAndOneMoreTokenDoesNot) {
  const Plan plan = PlanInScheme(ConfigOfPreset("llama-3.1-8b"), *FindScheme("bf16"));
  constexpr uint64_t kBudget = uint64_t{24} << 30, kHeld = 20'000'000;
  for (const bool recompute : {false, true}) {
    TrainingQuery query{.method = TrainingMethod::kQlora, .r = 16, .tape = {.recompute = recompute}};
    const TrainingFit fit = FitTraining(plan, "bf16", query, kBudget, kHeld);
    const TrainingBase base = TrainingBaseOf(plan, "bf16", query.method);
    query.tokens = static_cast<uint64_t>(fit.max_tokens);
    EXPECT_LE(kHeld + TrainingMemory(base.plan, base.format, query).bytes, kBudget);
    ++query.tokens;
    EXPECT_GT(kHeld + TrainingMemory(base.plan, base.format, query).bytes, kBudget);
  }
  EXPECT_EQ(FitTraining(plan, "bf16", {.method = TrainingMethod::kFull}, kBudget, kHeld).max_tokens, 0);
}

// torchtune's README: "Optimization flags" (peak active memory; packed, compiled, chunked loss, checkpointed,
// offloaded, AdamW, batch 2 of 4,096 tokens) and "Memory and training speed" (batch 2 of 2,048 tokens, packed). Rank
// and targets are those of its recipes' configurations.
TEST(TorchTraining, IsTorchtunesPublishedPeakWithin15Percent) {
  struct Peak {
    const char* preset;
    TrainingMethod method;
    int r;
    uint64_t tokens;
    bool offloading;
    double gib;
  };
  constexpr double kGiB = 1 << 30;
  for (const Peak& peak : {Peak{"llama-3.2-3b", TrainingMethod::kLora, 64, 8192, true, 8.5},
                           Peak{"llama-3.2-3b", TrainingMethod::kQlora, 64, 8192, true, 4.6},
                           Peak{"llama-3.1-8b", TrainingMethod::kLora, 8, 4096, false, 16.2},
                           Peak{"llama-3.1-8b", TrainingMethod::kQlora, 8, 4096, false, 7.4}}) {
    const Plan plan = PlanInScheme(ConfigOfPreset(peak.preset), *FindScheme("bf16"));
    const TrainingMath math =
        TorchTrainingMemory(plan, {.method = peak.method,
                                   .r = peak.r,
                                   .targets = {"q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
                                   .tokens = peak.tokens,
                                   .torch = TorchSettings{.offloading = peak.offloading}});
    EXPECT_EQ(SumOf(math.parts), math.bytes);
    EXPECT_NEAR(static_cast<double>(math.bytes) / kGiB, peak.gib, 0.15 * peak.gib) << peak.preset << " " << math.method;
  }
}

// NF4 takes 4.127 bits a weight (Dettmers et al. 2023); what is kept, checkpointed or offloaded costs less and less.
TEST(TorchTraining, CountsWhatItSays) {
  const Plan plan = PlanInScheme(ConfigOfPreset("llama-3.1-8b"), *FindScheme("bf16"));
  const TrainingQuery lora{.tokens = 4096}, qlora{.method = TrainingMethod::kQlora, .tokens = 4096};
  const auto base = [&](const TrainingQuery& query) { return TorchTrainingMemory(plan, query).parts[0].bytes; };
  EXPECT_EQ(base(lora), 2 * 8'030'261'248ull);
  EXPECT_EQ(base(qlora),
            2 * 1'050'939'392ull + 6'979'321'856ull / 2 + 6'979'321'856ull / 64 + 6'979'321'856ull / 64 / 256 * 4);
  const auto all = [&](const TorchSettings& settings) {
    return TrainingOf(plan, "bf16", {.tokens = 4096, .torch = settings}).bytes;
  };
  EXPECT_LT(all({.offloading = true}), all({}));
  EXPECT_LT(all({}), all({.checkpointing = false}));
  EXPECT_LT(all({.loss_chunks = 16}), all({.loss_chunks = 1}));
}

}  // namespace
}  // namespace qad

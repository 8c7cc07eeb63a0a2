#include "model/training.h"

#include "base/random.h"
#include "model/model_testing.h"

namespace qad {
namespace {

class TinyTraining : public ::testing::TestWithParam<std::string> {
 protected:
  Context context_{Numerics::kExact};
  Transformer model_ = LoadTransformer(TinyPath(GetParam()));
  Golden golden_{GetParam()};
  TinyAdapter adapter_{GetParam(), model_};

  double weight() const { return 1.0 / static_cast<double>(golden_.batch.supervised()); }
  double Mean(double sum) const { return sum * weight(); }
};
INSTANTIATE_TEST_SUITE_P(Families, TinyTraining, ::testing::ValuesIn(kTinyModels), [](const auto& row) {
  std::string name = row.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(TinyTraining, LossEqualsPeft) {
  TrainingPass pass(model_);
  EXPECT_NEAR(Mean(pass.Run(context_, golden_.batch, {.backward = false})), golden_.loss_with_adapter, 1e-5);
  model_.ClearAdapters();
  EXPECT_NEAR(Mean(pass.Run(context_, golden_.batch, {.backward = false})), golden_.loss, 1e-5);
}

// Gradients of every A and B, each relative to its largest entry, as entries are sums that cancel.
void ExpectGoldenGradients(const Golden& golden, const TinyAdapter& adapter, double relative) {
  for (size_t i = 0; i < adapter.peft.modules.size(); ++i) {
    const std::string name = "gradient.base_model.model." + adapter.peft.modules[i].module;
    for (const auto& [got, key] : {std::pair(&adapter.a_gradients[i], name + ".lora_A.weight"),
                                   std::pair(&adapter.b_gradients[i], name + ".lora_B.weight")}) {
      const std::vector<float>& want = golden.tensors.at(key);
      float largest = 0;
      for (const float v : want) largest = std::max(largest, std::fabs(v));
      ASSERT_GT(largest, 1e-6) << "a golden that cannot fail: " << key;
      EXPECT_TRUE(AllClose(*got, want, relative * static_cast<double>(largest))) << key;
    }
  }
}

TEST_P(TinyTraining, GradientsEqualPeft) {
  TrainingPass pass(model_);
  pass.Run(context_, golden_.batch, {.loss_weight = weight()});
  ExpectGoldenGradients(golden_, adapter_, 1e-5);  // sums over 24 rows through two layers of f32
}

// tiny-gpt2's widths. Norms over two values divide by a difference that may be small and amplify what was rounded
// before.
TEST(HeadsOfOneDimension, LogitsLossAndGradientsEqualPeft) {
  const std::string name = "gpt2-narrow";
  Context context(Numerics::kExact);
  Transformer model = LoadTransformer(TinyPath(name));
  const Golden golden(name);
  EXPECT_TRUE(AllClose(AllLogits(context, model, golden.batch), golden.logits(), 1e-5));
  TinyAdapter adapter(name, model);
  TrainingPass pass(model);
  const double count = static_cast<double>(golden.batch.supervised());
  EXPECT_NEAR(pass.Run(context, golden.batch, {.loss_weight = 1 / count}) / count, golden.loss_with_adapter, 1e-5);
  ExpectGoldenGradients(golden, adapter, 1e-4);
}

TEST_P(TinyTraining, GradientsAddUpAndKeepTheWeight) {
  TrainingPass pass(model_);
  pass.Run(context_, golden_.batch, {.loss_weight = 1});
  const auto once = adapter_.a_gradients;
  pass.Run(context_, golden_.batch, {.loss_weight = 0.5});
  for (size_t i = 0; i < once.size(); ++i) {
    std::vector<float> want(once[i]);
    double largest = 0;
    for (float& v : want) largest = std::max(largest, static_cast<double>(std::fabs(v *= 1.5f)));
    EXPECT_TRUE(AllClose(adapter_.a_gradients[i], want, 1e-5 * largest));
  }
}

// Central differences of the whole loss along random directions of all A and B: independent of the golden.
TEST_P(TinyTraining, GradientsAreTheSlopeOfTheLoss) {
  TrainingPass pass(model_);
  pass.Run(context_, golden_.batch, {.loss_weight = weight()});
  constexpr double kStep = 2e-3;
  for (uint64_t direction = 0; direction < 4; ++direction) {
    Random random(3, direction);
    double slope = 0;
    std::vector<std::vector<float>> steps;
    const auto original = adapter_.peft.modules;
    for (size_t i = 0; i < original.size(); ++i)
      for (const auto* gradient : {&adapter_.a_gradients[i], &adapter_.b_gradients[i]}) {
        auto& step = steps.emplace_back();
        for (const float g : *gradient) {
          step.push_back(random.Below(2) == 0 ? 1.0f : -1.0f);
          slope += static_cast<double>(g * step.back());
        }
      }
    const auto loss_at = [&](double t) {
      for (size_t i = 0; i < original.size(); ++i) {
        for (size_t k = 0; k < original[i].a.size(); ++k)
          adapter_.peft.modules[i].a[k] = original[i].a[k] + static_cast<float>(t) * steps[2 * i][k];
        for (size_t k = 0; k < original[i].b.size(); ++k)
          adapter_.peft.modules[i].b[k] = original[i].b[k] + static_cast<float>(t) * steps[2 * i + 1][k];
      }
      return Mean(pass.Run(context_, golden_.batch, {.backward = false}));
    };
    // Richardson: the error of fourth order; what is left is the loss's own f32 rounding, 1e-6 / step.
    const double coarse = (loss_at(2 * kStep) - loss_at(-2 * kStep)) / (4 * kStep);
    const double fine = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    EXPECT_NEAR((4 * fine - coarse) / 3, slope, 2e-3 * (1 + std::fabs(slope)));
    adapter_.peft.modules = original;
    adapter_.AttachTo(model_);
  }
}

// What sequences begin with, packed once or with each of them; beside others that stand alone.
TEST_P(TinyTraining, ASharedPrefixChangesNothing) {
  const auto token = [&](size_t i) { return static_cast<TokenId>(7 * i * i % model_.config().vocab); };
  constexpr size_t kPrefix = 19;
  PackedBatch whole, shared;
  const auto append = [&](PackedBatch& batch, size_t from, size_t count, bool supervised) {
    for (size_t p = from; p < from + count; ++p) {
      batch.tokens.push_back(token(p));
      batch.labels.push_back(supervised ? token(p + 1) : kNotSupervised);
    }
  };
  const auto segment = [&](size_t length, size_t continues) {
    shared.lengths.push_back(length);
    shared.continues.push_back(continues);
  };
  for (const size_t seed : {0, 100}) {
    append(shared, seed, 5, true);  // alone
    append(whole, seed, 5, true);
    whole.lengths.push_back(5);
    segment(5, PackedBatch::kNoSegment);
    const size_t prefix = shared.lengths.size();
    append(shared, seed, kPrefix, false);
    segment(kPrefix, PackedBatch::kNoSegment);
    for (const size_t length : {1, 9, 40, 3}) {
      append(whole, seed, kPrefix, false);
      for (PackedBatch* batch : {&whole, &shared}) append(*batch, seed + length, length, true);
      whole.lengths.push_back(kPrefix + length);
      segment(length, prefix);
    }
  }
  const auto run = [&](Context& context, const PackedBatch& batch) {
    adapter_.ZeroGradients();
    TrainingPass pass(model_);
    const double loss = pass.Run(context, batch, {.loss_weight = 0.1});
    auto gradients = adapter_.a_gradients;
    gradients.insert(gradients.end(), adapter_.b_gradients.begin(), adapter_.b_gradients.end());
    return std::pair(loss, gradients);
  };
  const auto [want_loss, want] = run(context_, whole);
  const auto [loss, got] = run(context_, shared);
  // The same products in other tiles: f32 rounding of a sum over a hundred tokens, as against PEFT above.
  EXPECT_NEAR(loss, want_loss, 1e-6 * want_loss);
  for (size_t i = 0; i < want.size(); ++i) {
    double largest = 0;
    for (const float v : want[i]) largest = std::max(largest, static_cast<double>(std::fabs(v)));
    EXPECT_GT(largest, 0);
    EXPECT_TRUE(AllClose(got[i], want[i], 1e-5 * largest));
  }
  std::vector<std::pair<double, std::vector<std::vector<float>>>> of_threads;
  for (const int threads : {1, 2, 3}) {
    Context fast(Numerics::kFast, threads);  // one at a time: the number of threads is the process's
    of_threads.push_back(run(fast, shared));
    EXPECT_TRUE(of_threads.back() == of_threads.front()) << threads;
  }
}

TEST_P(TinyTraining, EmptyLabelsGiveNoLossAndNoGradient) {
  PackedBatch batch = golden_.batch;
  std::fill(batch.labels.begin(), batch.labels.end(), kNotSupervised);
  TrainingPass pass(model_);
  EXPECT_EQ(pass.Run(context_, batch, {}), 0);
  for (const auto& gradient : adapter_.a_gradients)
    for (const float g : gradient) ASSERT_EQ(g, 0);
}

TEST_P(TinyTraining, ThreadsDoNotChangeABit) {
  std::vector<std::vector<float>> want;
  double want_loss = 0;
  for (const int threads : {1, 2, 3}) {
    Context context(Numerics::kFast, threads);
    adapter_.ZeroGradients();
    TrainingPass pass(model_, {.bf16 = true});
    const double loss =
        pass.Run(context, golden_.batch, {.loss_weight = weight(), .dropout = 0.2f, .seed = 5, .step = 3});
    auto got = adapter_.a_gradients;
    got.insert(got.end(), adapter_.b_gradients.begin(), adapter_.b_gradients.end());
    if (want.empty()) want = got, want_loss = loss;
    EXPECT_EQ(loss, want_loss) << threads;
    EXPECT_EQ(got, want) << threads;
  }
}

TEST_P(TinyTraining, DropoutIsAFunctionOfSeedAndStep) {
  TrainingPass pass(model_);
  TrainingPass::Options options{.dropout = 0.3f, .seed = 1, .step = 0, .backward = false};
  const double first = pass.Run(context_, golden_.batch, options);
  EXPECT_EQ(pass.Run(context_, golden_.batch, options), first);
  options.step = 1;
  EXPECT_NE(pass.Run(context_, golden_.batch, options), first);
}

TEST_P(TinyTraining, BytesAreWhatIsAllocated) {
  TrainingPass pass(model_);
  pass.Run(context_, golden_.batch, {});
  EXPECT_EQ(pass.allocated_bytes(), pass.Bytes(golden_.batch.tokens.size()));
}

// Blocks that are computed again on the way back give the same bits in less memory, dropout's masks included.
TEST_P(TinyTraining, RecomputingChangesNoBit) {
  const TrainingPass::Options options{.loss_weight = weight(), .dropout = 0.2f, .seed = 3, .step = 1};
  for (const bool bf16 : {false, true}) {
    TrainingPass kept(model_, {.bf16 = bf16}), again(model_, {.recompute = true, .bf16 = bf16});
    adapter_.ZeroGradients();
    const double loss = kept.Run(context_, golden_.batch, options);
    const auto a = adapter_.a_gradients, b = adapter_.b_gradients;
    const std::vector<float> input(kept.input_gradient().begin(), kept.input_gradient().end());
    adapter_.ZeroGradients();
    EXPECT_EQ(again.Run(context_, golden_.batch, options), loss);
    EXPECT_EQ(adapter_.a_gradients, a);
    EXPECT_EQ(adapter_.b_gradients, b);
    EXPECT_TRUE(std::ranges::equal(again.input_gradient(), input));
    for (const TrainingPass* pass : {&kept, &again})
      EXPECT_EQ(pass->allocated_bytes(), pass->Bytes(golden_.batch.tokens.size()));
    EXPECT_LT(again.allocated_bytes(), kept.allocated_bytes());
  }
}

TEST_P(TinyTraining, FastModeKeepsItsDistance) {
  Transformer bf16 = LoadTransformer(TinyPath(GetParam()), WeightMode::kBF16);
  TinyAdapter adapter(GetParam(), bf16);
  Context fast(Numerics::kFast);
  TrainingPass pass(bf16), rounding(bf16, {.bf16 = true});
  pass.Run(context_, golden_.batch, {.loss_weight = weight()});
  const auto exact = adapter.a_gradients;
  adapter.ZeroGradients();
  rounding.Run(fast, golden_.batch, {.loss_weight = weight()});
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    worst = std::max(worst, NormalizedMeanSquaredError(adapter.a_gradients[i], exact[i]));
  RecordProperty("worst_nmse_of_gradients", std::to_string(worst));
  // Some 40 roundings to bf16 (relative variance 2^-18/3 each) forward and back, amplified where terms cancel.
  EXPECT_TRUE(worst <= 1e-3) << worst;
}

}  // namespace
}  // namespace qad

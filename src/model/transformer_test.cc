#include "model/transformer.h"

#include "model/model_testing.h"

namespace qad {
namespace {

// Logits reach 20; they are sums over some 2·2·64 rounded products through two layers. transformers itself moves by
// 4e-6 between its attention implementations. 2e-5 absolute is about 10 ulp of the largest.
constexpr double kLogits = 2e-5;

class TinyModel : public ::testing::TestWithParam<std::string> {
 protected:
  Context context_{Numerics::kExact};
  Transformer model_ = LoadTransformer(TinyPath(GetParam()));
  Golden golden_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, TinyModel, ::testing::ValuesIn(kTinyModels), [](const auto& row) {
  std::string name = row.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(TinyModel, LogitsEqualTransformers) {
  EXPECT_TRUE(AllClose(AllLogits(context_, model_, golden_.batch), golden_.logits(), kLogits));
}

TEST_P(TinyModel, LogitsWithAdapterEqualPeft) {
  const TinyAdapter adapter(GetParam(), model_);
  EXPECT_TRUE(AllClose(AllLogits(context_, model_, golden_.batch), golden_.tensors.at("logits_with_adapter"), kLogits));
  model_.ClearAdapters();
  EXPECT_TRUE(AllClose(AllLogits(context_, model_, golden_.batch), golden_.logits(), kLogits));
}

TEST_P(TinyModel, TokenByTokenEqualsPrefill) {
  const auto tokens = std::span(golden_.batch.tokens).subspan(golden_.batch.lengths[0], golden_.batch.lengths[1]);
  const size_t vocab = model_.config().vocab, first = golden_.batch.lengths[0];
  const std::span want = std::span(golden_.logits()).subspan(first * vocab, tokens.size() * vocab);
  for (const FormatId type : {FormatId::kF32, FormatId::kF16}) {
    KvCache cache(model_.config(), 2, 32, type);
    std::vector<float> logits(tokens.size() * vocab);
    const size_t zero = 0;
    for (size_t t = 0; t < tokens.size(); ++t) {
      const Segment one{1, t, tokens.subspan(t, 1)};
      model_.Forward(context_, {&one, 1}, cache, {&zero, 1}, logits.data() + t * vocab);
    }
    // f16 keys and values carry 2^-11 each, up to 5 in size; logits of spread 20 move by a few thousandths.
    EXPECT_TRUE(AllClose(logits, want, type == FormatId::kF32 ? kLogits : 2e-2));
    if (type == FormatId::kF16) {
      EXPECT_FALSE(AllClose(logits, want, 1e-5)) << "f16 that loses nothing is not f16";
    }
  }
}

TEST_P(TinyModel, PrefillInPiecesAndSharedPrefixEqualTheWhole) {
  const auto tokens = std::span(golden_.batch.tokens).subspan(golden_.batch.lengths[0], golden_.batch.lengths[1]);
  const size_t vocab = model_.config().vocab, first = golden_.batch.lengths[0], last = tokens.size() - 1;
  KvCache cache(model_.config(), 3, 32, FormatId::kF32);
  std::vector<float> logits(vocab);
  Segment piece{0, 0, tokens.first(5)};
  model_.Run(context_, {&piece, 1}, cache);
  cache.CopyPrefix(0, 2, 5);
  piece = {2, 5, tokens.subspan(5)};
  const size_t wanted = last - 5;
  model_.Forward(context_, {&piece, 1}, cache, {&wanted, 1}, logits.data());
  EXPECT_TRUE(AllClose(logits, std::span(golden_.logits()).subspan((first + last) * vocab, vocab), kLogits));
}

// A sequence must not feel its neighbours: one at a time, all at once, and decoding beside another's prefill.
TEST_P(TinyModel, BatchEqualsSingleRuns) {
  const PackedBatch& batch = golden_.batch;
  const size_t vocab = model_.config().vocab;
  size_t first = 0;
  for (const size_t length : batch.lengths) {
    PackedBatch one;
    one.tokens.assign(batch.tokens.begin() + static_cast<std::ptrdiff_t>(first),
                      batch.tokens.begin() + static_cast<std::ptrdiff_t>(first + length));
    one.lengths = {length};
    EXPECT_TRUE(AllClose(AllLogits(context_, model_, one),
                         std::span(golden_.logits()).subspan(first * vocab, length * vocab), kLogits));
    first += length;
  }
  const size_t a = batch.lengths[0], b = batch.lengths[1];
  const std::span tokens(batch.tokens);
  KvCache cache(model_.config(), 2, 32, FormatId::kF32);
  Segment begin{0, 0, tokens.first(a - 1)};
  model_.Run(context_, {&begin, 1}, cache);
  const Segment both[] = {{0, a - 1, tokens.subspan(a - 1, 1)}, {1, 0, tokens.subspan(a, b)}};
  const size_t wanted[] = {0, b};
  std::vector<float> logits(2 * vocab);
  model_.Forward(context_, both, cache, wanted, logits.data());
  EXPECT_TRUE(
      AllClose(std::span(logits).first(vocab), std::span(golden_.logits()).subspan((a - 1) * vocab, vocab), kLogits));
  EXPECT_TRUE(AllClose(std::span(logits).last(vocab), std::span(golden_.logits()).subspan((a + b - 1) * vocab, vocab),
                       kLogits));
}

TEST_P(TinyModel, LogProbabilitiesAreTheGoldenLoss) {
  const PackedBatch& batch = golden_.batch;
  AllLogits(context_, model_, batch);  // leaves the rows of the last run
  std::vector<size_t> wanted;
  std::vector<TokenId> targets;
  for (size_t t = 0; t < batch.labels.size(); ++t) {
    if (batch.labels[t] == kNotSupervised) continue;
    wanted.push_back(t);
    targets.push_back(batch.labels[t]);
  }
  double sum = 0;
  for (const double p : model_.LogProbabilities(context_, wanted, targets)) sum -= p;
  EXPECT_NEAR(sum / static_cast<double>(wanted.size()), golden_.loss, 1e-5);
}

TEST_P(TinyModel, ThreadsDoNotChangeABit) {
  std::vector<float> want;
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    want.clear();
    for (const int threads : {1, 2, 3}) {
      Context context(numerics, threads);
      Transformer model = LoadTransformer(TinyPath(GetParam()), WeightMode::kBF16);
      const TinyAdapter adapter(GetParam(), model);
      const auto logits = AllLogits(context, model, golden_.batch);
      if (want.empty()) want = logits;
      EXPECT_EQ(logits, want) << threads;
    }
  }
}

// bf16 weights move logits in exact mode; fast mode's own bf16 activations move them about as much again.
TEST_P(TinyModel, FastModeKeepsItsDistance) {
  Transformer bf16 = LoadTransformer(TinyPath(GetParam()), WeightMode::kBF16);
  Context fast(Numerics::kFast);
  const auto exact = AllLogits(context_, bf16, golden_.batch);
  const auto quick = AllLogits(fast, bf16, golden_.batch);
  const double distance = NormalizedMeanSquaredError(quick, exact);
  RecordProperty("nmse_fast_from_exact", std::to_string(distance));
  // Each of some 20 roundings to bf16 between embedding and logits has a relative variance of 2^-18/3: 2.5e-5 in all.
  EXPECT_TRUE(distance <= 1e-4) << distance;
  if (fast.has_bf16) {
    EXPECT_GT(distance, 0) << "fast mode did not take its own path";
  }
}

TEST_P(TinyModel, WorkspaceIsWhatItSays) {
  AllLogits(context_, model_, golden_.batch);
  EXPECT_EQ(model_.workspace_bytes(), model_.WorkspaceBytes(golden_.batch.tokens.size()));
}

TEST(TinyGguf, PermutedRowsGiveTheSameLogits) {
  Context context(Numerics::kExact);
  Transformer model = LoadTransformer(TinyPath("llama-gqa.gguf"));
  const Golden golden("llama-gqa");
  EXPECT_TRUE(AllClose(AllLogits(context, model, golden.batch), golden.logits(), kLogits));
}

}  // namespace
}  // namespace qad

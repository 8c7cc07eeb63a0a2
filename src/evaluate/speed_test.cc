#include "evaluate/speed.h"

#include <cmath>
#include <numeric>

#include "base/test_files.h"
#include "model/footprint.h"
#include "model/load.h"
#include "model/model_testing.h"
#include "model/tiny_model.h"
#include "results/statistics.h"

namespace qad {
namespace {

double MeanOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double DeviationOf(const std::vector<double>& values) {
  double squares = 0;
  if (values.size() < 2) return 0;  // one sample has no spread
  for (const double x : values) squares += (x - MeanOf(values)) * (x - MeanOf(values));
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// Summaries are those of the samples, which took `tokens` tokens each.
void ExpectSummaries(const BenchRow& row, size_t repetitions, size_t tokens) {
  ASSERT_EQ(row.samples_ns.size(), repetitions);
  std::vector<double> rates;
  for (const double ns : row.samples_ns) {
    EXPECT_GT(ns, 0);
    rates.push_back(static_cast<double>(tokens) / ns * 1e9);
  }
  EXPECT_DOUBLE_EQ(row.avg_ns, MeanOf(row.samples_ns));
  EXPECT_NEAR(row.stddev_ns, DeviationOf(row.samples_ns), 1e-9 * row.avg_ns);
  EXPECT_DOUBLE_EQ(row.avg_ts, MeanOf(rates));
  EXPECT_NEAR(row.stddev_ts, DeviationOf(rates), 1e-9 * row.avg_ts);
  EXPECT_DOUBLE_EQ(row.median_ts, Quantile(rates, 0.5));
  EXPECT_GT(row.gigabytes_per_second, 0);
  EXPECT_GT(row.gigaflops, 0);
}

class SpeedTest : public ::testing::Test {
 protected:
  Context context_{Numerics::kFast, 2};
  Transformer model_ = LoadTransformer(TinyPath("llama-gqa"));
};

TEST_F(SpeedTest, RowsSayWhatWasRun) {
  const std::vector<BenchRow> rows =
      Bench(context_, model_, {.prompt = 10, .generate = 6, .batch = 3, .repetitions = 4, .depth = 5});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].n_prompt, 10u);
  EXPECT_EQ(rows[0].n_gen, 0u);
  EXPECT_EQ(rows[0].n_batch, 3u);
  EXPECT_EQ(rows[0].n_depth, 0u) << "a prompt begins an empty cache";
  ExpectSummaries(rows[0], 4, 30);
  EXPECT_EQ(rows[1].n_prompt, 0u);
  EXPECT_EQ(rows[1].n_gen, 6u);
  EXPECT_EQ(rows[1].n_batch, 3u);
  EXPECT_EQ(rows[1].n_depth, 5u);
  ExpectSummaries(rows[1], 4, 18);
}

TEST_F(SpeedTest, WhatIsZeroIsNotRun) {
  EXPECT_TRUE(Bench(context_, model_, {.prompt = 0, .generate = 0}).empty());
  const std::vector<BenchRow> rows = Bench(context_, model_, {.prompt = 0, .generate = 2, .repetitions = 1});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].n_gen, 2u);
  ExpectSummaries(rows[0], 1, 2);
}

TEST_F(SpeedTest, ManyPromptRowsGoInSteps) {
  const size_t step = StepRows(model_.config()), batch = step / 50 + 3;  // steps begin and end inside a prompt
  const std::vector<BenchRow> rows =
      Bench(context_, model_, {.prompt = 50, .generate = 0, .batch = batch, .repetitions = 1});
  ASSERT_EQ(rows.size(), 1u);
  ExpectSummaries(rows[0], 1, 50 * batch);
  EXPECT_EQ(model_.workspace_bytes(), WorkspaceBytes(model_.config(), step));
}

TEST_F(SpeedTest, MoreThanTheModelsPositionsIsAnError) {
  EXPECT_TRUE(Fails([&] { Bench(context_, model_, {.prompt = 65, .generate = 0}); }, ErrorKind::kInput,
                    {"65 tokens", "64 positions", "--prompt"}));
  EXPECT_TRUE(Fails([&] { Bench(context_, model_, {.prompt = 1, .generate = 60, .depth = 5}); }, ErrorKind::kInput,
                    {"65 tokens", "--depth"}));
}

TEST(Latency, TheFirstTokenComesBeforeTheLast) {
  const TempFolder folder;
  tiny::WriteGguf(folder / "model.gguf", FormatId::kQ8_0);
  const Tokenizer tokenizer = LoadTokenizer(OpenModel(folder / "model.gguf"));
  Transformer model = LoadTransformer(folder / "model.gguf");
  Context context(Numerics::kFast, 2);
  const Latency latency = MeasureLatency(context, model, tokenizer, {1, 2, 3}, 8);
  EXPECT_GT(latency.first_token_seconds, 0);
  EXPECT_GT(latency.seconds, latency.first_token_seconds);
}

}  // namespace
}  // namespace qad

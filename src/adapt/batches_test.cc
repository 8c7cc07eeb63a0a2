#include "adapt/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "adapt/adapt_testing.h"

namespace qad {
namespace {

TEST(StepPlan, EveryEpochSeesEveryExampleOnceInAnotherOrder) {
  StepPlan plan(10, 4, 2, 7);
  ASSERT_EQ(plan.steps_per_epoch(), 3);
  ASSERT_EQ(plan.total_steps(), 6);
  std::vector<std::vector<size_t>> epochs(2);
  for (int64_t step = 0; step < 6; ++step) {
    const std::vector<size_t> chosen = plan.ExamplesOf(step);
    EXPECT_EQ(chosen.size(), step % 3 == 2 ? 2u : 4u);
    auto& epoch = epochs[static_cast<size_t>(step / 3)];
    epoch.insert(epoch.end(), chosen.begin(), chosen.end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
  std::vector<size_t> all(10);
  std::iota(all.begin(), all.end(), size_t{0});
  for (std::vector<size_t>& epoch : epochs) {
    EXPECT_NE(epoch, all) << "not shuffled";
    std::ranges::sort(epoch);
    EXPECT_EQ(epoch, all);
  }
}

TEST(StepPlan, IsAFunctionOfSeedAndStepAlone) {
  StepPlan forward(20, 3, 3, 1), backward(20, 3, 3, 1), other(20, 3, 3, 2);
  std::vector<std::vector<size_t>> from_end(static_cast<size_t>(forward.total_steps()));
  for (int64_t step = forward.total_steps(); step-- > 0;)
    from_end[static_cast<size_t>(step)] = backward.ExamplesOf(step);
  for (int64_t step = 0; step < forward.total_steps(); ++step)
    EXPECT_EQ(forward.ExamplesOf(step), from_end[static_cast<size_t>(step)]);
  EXPECT_NE(other.ExamplesOf(0), forward.ExamplesOf(0));
}

TEST(StepPlan, PartsOfEpochsRoundUpToSteps) {
  StepPlan plan(10, 4, 1.5, 0);  // 3 steps an epoch
  EXPECT_EQ(plan.total_steps(), 5);
  EXPECT_TRUE(plan.EndsEpoch(2));
  EXPECT_FALSE(plan.EndsEpoch(3));
  EXPECT_TRUE(plan.EndsEpoch(4)) << "the end of training counts";
}

TEST(Pack, SharesWhatSomeBeginWithUntilItIsTrainedOn) {
  constexpr size_t kNone = PackedBatch::kNoSegment;
  std::vector<TrainExample> examples = {Prompted(30, 5, 100), Prompted(30, 7, 101), Prompted(40, 4, 102)};
  std::vector<PackedBatch> passes = Pack(examples, {0, 1, 2}, 1000);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(passes[0].lengths, (std::vector<size_t>{30, 14, 5, 7})) << "in the order of their tokens";
  EXPECT_EQ(passes[0].continues, (std::vector<size_t>{kNone, 0, 0, 0}));
  EXPECT_EQ(passes[0].tokens.size(), 56u);
  EXPECT_EQ(passes[0].tokens[30], 30) << "the third one's own prompt goes on";
  EXPECT_EQ(LargestPass(examples, {0, 1, 2}, 1000), 56u);
  // As many as fit together: 44 and 5, then one by itself.
  passes = Pack(examples, {0, 1, 2}, 49);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[0].tokens.size(), 49u);
  EXPECT_EQ(passes[1].lengths, (std::vector<size_t>{37}));
  EXPECT_EQ(LargestPass(examples, {0, 1, 2}, 49), 49u);
  // Two ways to begin are two groups of one pass.
  for (const size_t own : {2, 3}) {
    examples.push_back(Prompted(25, own, 50));
    examples.back().tokens[0] = 90;
  }
  passes = Pack(examples, {3, 0, 4, 1}, 1000);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(passes[0].lengths, (std::vector<size_t>{30, 5, 7, 26, 1, 2}));
  EXPECT_EQ(passes[0].continues, (std::vector<size_t>{kNone, 0, 0, kNone, 3, 3}));
  // A supervised token is each example's own.
  examples[1].labels[20] = 21;
  EXPECT_EQ(Pack(examples, {0, 1}, 1000)[0].lengths, (std::vector<size_t>{20, 15, 17}));
  examples[1].labels[10] = 11;
  EXPECT_EQ(Pack(examples, {0, 1}, 1000)[0].lengths, (std::vector<size_t>{35, 37})) << "too short to be worth it";
  // Equal examples keep a token of their own.
  examples[0] = Prompted(30, 0, 0);
  EXPECT_EQ(Pack(examples, {0, 0}, 1000)[0].lengths, (std::vector<size_t>{29, 1, 1}));
}

TEST(Pack, TakesEachOnceAndNeverCuts) {
  const ExampleSet set = RandomExamples(12, 50, 3);  // 4 … 15 tokens each
  std::vector<size_t> chosen = {5, 0, 11, 3, 8, 1, 2};
  for (const size_t limit : {size_t{1}, size_t{20}, size_t{1000}}) {
    const std::vector<PackedBatch> passes = Pack(set.examples, chosen, limit);
    std::vector<TokenId> tokens, labels;
    size_t sequences = 0;
    for (const PackedBatch& pass : passes) {
      EXPECT_TRUE(pass.lengths.size() == 1 || pass.tokens.size() <= limit);
      EXPECT_EQ(std::accumulate(pass.lengths.begin(), pass.lengths.end(), size_t{0}), pass.tokens.size());
      tokens.insert(tokens.end(), pass.tokens.begin(), pass.tokens.end());
      labels.insert(labels.end(), pass.labels.begin(), pass.labels.end());
      sequences += pass.lengths.size();
    }
    std::vector<TokenId> want, want_labels;
    std::vector<size_t> ordered = chosen;
    std::ranges::sort(ordered, {}, [&](size_t index) { return set.examples[index].tokens; });
    for (const size_t index : ordered) {
      want.insert(want.end(), set.examples[index].tokens.begin(), set.examples[index].tokens.end());
      want_labels.insert(want_labels.end(), set.examples[index].labels.begin(), set.examples[index].labels.end());
    }
    EXPECT_EQ(tokens, want);
    EXPECT_EQ(std::ranges::max_element(passes, {}, [](const PackedBatch& p) { return p.tokens.size(); })->tokens.size(),
              LargestPass(set.examples, chosen, limit));
    EXPECT_EQ(labels, want_labels);
    EXPECT_EQ(sequences, chosen.size());
    EXPECT_TRUE(limit != 1 || passes.size() == chosen.size());
    EXPECT_TRUE(limit != 1000 || passes.size() == 1);
  }
}

}  // namespace
}  // namespace qad

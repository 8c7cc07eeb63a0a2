#include "experiment/batch_store.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/test_files.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

std::vector<Sample> SamplesOf(const std::vector<std::string>& items) {
  std::vector<Sample> samples;
  for (const std::string& item : items) {
    Sample& sample = samples.emplace_back();
    sample.arm = "base";
    sample.item = item;
    sample.slice = "facts";
    sample.cluster = item;
    sample.seconds = 0.1 + 0.2;
    sample.output = "“" + item + "”\n";
    sample.scores = {{"contains", 1}, {"answer_log_likelihood", -1.0 / 3}};
    sample.passages = {"a.md#b"};
  }
  return samples;
}

std::vector<std::string> ItemsOf(const std::vector<Sample>& samples) {
  std::vector<std::string> items;
  for (const Sample& sample : samples) items.push_back(sample.item);
  return items;
}

class BatchStoreTest : public ::testing::Test {
 protected:
  BatchStoreTest() {
    BatchStore store(place_, key_);
    store.Add(SamplesOf({"a", "b"}), {.items = 3, .skipped = 1, .seconds = 2});
    store.Add(SamplesOf({"c"}), {.items = 4, .skipped = 1, .doubtful = 2, .missing_usage = 3, .seconds = 5});
  }
  const TempFolder folder_;
  const fs::path place_ = folder_ / "base.batches";
  const Json key_ = {{"model", "x"}};
};

TEST_F(BatchStoreTest, WhatWasAnsweredIsFoundAgainAndGoneOnWith) {
  BatchStore store(place_, key_);
  EXPECT_EQ(store.done().items, 4u);
  EXPECT_EQ(store.done().skipped, 1);
  EXPECT_EQ(store.done().doubtful, 2);
  EXPECT_EQ(store.done().missing_usage, 3);
  EXPECT_EQ(store.done().seconds, 5);
  const std::vector<Sample> samples = store.TakeSamples(), want = SamplesOf({"a", "b", "c"});
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(SamplesToJson(samples), SamplesToJson(want));
  store.Add(SamplesOf({"d"}), {.items = 5, .skipped = 1, .seconds = 6});
  BatchStore again(place_, key_);
  EXPECT_EQ(ItemsOf(again.TakeSamples()), (std::vector<std::string>{"a", "b", "c", "d"}));
  again.Remove();
  EXPECT_FALSE(fs::exists(place_));
  EXPECT_EQ(BatchStore(place_, key_).done().items, 0u);
}

TEST_F(BatchStoreTest, BatchesOfOtherInputsAreRemoved) {
  BatchStore store(place_, {{"model", "y"}});
  EXPECT_EQ(store.done().items, 0u);
  EXPECT_TRUE(store.TakeSamples().empty());
  EXPECT_FALSE(fs::exists(place_));
}

// A kill cannot leave half a batch, a disk can.
TEST_F(BatchStoreTest, DamagedOnesAndWhatFollowsThemAreGone) {
  BatchStore(place_, key_).Add(SamplesOf({"d"}), {.items = 5, .skipped = 1, .seconds = 6});
  const std::string whole = ReadTextFile(place_ / "000001.json");
  WriteFileAtomic(place_ / "000001.json", whole.substr(0, whole.size() / 2));
  BatchStore store(place_, key_);
  EXPECT_EQ(store.done().items, 3u);
  EXPECT_EQ(ItemsOf(store.TakeSamples()), (std::vector<std::string>{"a", "b"}));
  store.Add(SamplesOf({"e"}), {.items = 4, .skipped = 1, .seconds = 4});
  BatchStore mended(place_, key_);
  EXPECT_EQ(mended.done().items, 4u);
  EXPECT_EQ(ItemsOf(mended.TakeSamples()), (std::vector<std::string>{"a", "b", "e"})) << "not d, which was behind";
  WriteFileAtomic(place_ / "000000.json", "{}");
  EXPECT_EQ(BatchStore(place_, key_).done().items, 0u);
}

}  // namespace
}  // namespace qad

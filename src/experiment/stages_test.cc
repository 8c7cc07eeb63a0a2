// What stages stand on: the cache, the cut of the data, the choice of examples.
#include "experiment/stages.h"

#include <gtest/gtest.h>

#include "base/test_files.h"
#include "experiment/cache.h"
#include "experiment/prompts.h"
#include "experiment/workspace.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

Results OneRow(double value) {
  Results results;
  results.rows.push_back({.arm = "a", .slice = "s", .metric = "m", .value = value, .low = {}, .high = {}, .n = 1});
  return results;
}

TEST(StageCache, DoesNothingTwiceUntilAnInputOrAnOutputChanges) {
  const TempFolder folder;
  const StageCache cache(folder / "cache");
  const auto output = folder.Write("made.bin", "one");
  int runs = 0;
  const auto get = [&](const Json& inputs) {
    return cache.Get("eval: base + few-shot", inputs, {output}, [&] { return OneRow(++runs); }).rows.at(0).value;
  };
  EXPECT_EQ(get({{"seed", 0}}), 1);
  EXPECT_EQ(get({{"seed", 0}}), 1);
  EXPECT_EQ(get({{"seed", 1}}), 2) << "another input";
  folder.Write("made.bin", "two");
  EXPECT_EQ(get({{"seed", 1}}), 3) << "another output";
  std::filesystem::remove(output);
  EXPECT_FALSE(cache.Find("eval: base + few-shot", {{"seed", 1}}).has_value());
}

TEST(StageCache, ADamagedEntryCountsAsMissing) {
  const TempFolder folder;
  const StageCache cache(folder / "cache");
  cache.Get("speed", {}, {}, [] { return OneRow(1); });
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache"))
    std::ofstream(entry.path()) << "{\"half";
  EXPECT_EQ(cache.Get("speed", {}, {}, [] { return OneRow(2); }).rows.at(0).value, 2);
}

TEST(StageCache, WhatFailsIsNotStored) {
  const TempFolder folder;
  const StageCache cache(folder / "cache");
  EXPECT_THROW(cache.Get("speed", {}, {}, []() -> Results { throw Error(ErrorKind::kFailed, "no"); }), Error);
  EXPECT_FALSE(cache.Find("speed", {}).has_value());
}

Item MakeItem(const std::string& id, const std::string& slice, const std::string& completion) {
  Item item;
  item.id = id;
  item.slice = slice;
  item.completion = completion;
  item.messages = {{"user", "question " + id}};
  return item;
}

// What was measured on weights that were made otherwise is measured again.
TEST(ArmInputs, HoldHowMadeWeightsAreMade) {
  const TempFolder folder;
  tiny::WriteGguf(folder / "model.gguf", FormatId::kF32, false);
  for (const char* name : {"train.jsonl", "eval.jsonl"})
    folder.Write(name, "{\"prompt\": \"A\", \"completion\": \"B\"}\n");
  const auto inputs = [&](const std::string& weights, const std::string& rest) {
    const Config config =
        LoadConfig(folder.Write("config.yaml",
                                "model: model.gguf\ndata: {train: train.jsonl, eval: eval.jsonl}\narms: [base, int8, "
                                "gptq-4, rtn-4]\neval: {max_new_tokens: 4}\n" +
                                    rest));
    const Workspace workspace(config, {}, 1, true);
    return ArmInputs(workspace, {.name = weights, .weights = weights, .adapter = {}});
  };
  for (const char* change : {"quantize: {group_size: 32}\n", "quantize: {calibration: {samples: 7}}\n", "seed: 3\n"})
    EXPECT_NE(inputs("gptq-4", change), inputs("gptq-4", "")) << change;
  EXPECT_NE(inputs("rtn-4", "quantize: {group_size: 32}\n"), inputs("rtn-4", ""));
  EXPECT_EQ(inputs("rtn-4", "seed: 3\n"), inputs("rtn-4", ""));
  EXPECT_EQ(inputs("int8", "quantize: {group_size: 32}\n"), inputs("int8", ""));
}

TEST(TakeInTurn, ShowsEverySlice) {
  std::vector<Item> items;
  for (int i = 0; i < 6; ++i) items.push_back(MakeItem("a" + std::to_string(i), i < 4 ? "first" : "second", "x"));
  const std::vector<Item> taken = TakeInTurn(items, 3);
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].id, "a0");
  EXPECT_EQ(taken[1].id, "a4");
  EXPECT_EQ(taken[2].id, "a1");
  EXPECT_EQ(TakeInTurn(items, 0).size(), 6u);
  EXPECT_EQ(TakeInTurn(items, 99).size(), 6u);
}

TEST(ChooseShots, OneOfEachAnswerOfASchema) {
  std::vector<Item> train;
  for (const char* answer : {"low", "low", "high", "low", "normal"}) {
    train.push_back(MakeItem(std::to_string(train.size()), "behaviour", answer));
    train.back().schema = {{"priority", {"low", "normal", "high"}}};
  }
  const std::vector<Item> shots = ChooseShots(train, true, 4, 0);
  ASSERT_EQ(shots.size(), 4u);
  EXPECT_EQ(shots[0].id, "0");
  EXPECT_EQ(shots[1].id, "2");
  EXPECT_EQ(shots[2].id, "4");
  EXPECT_EQ(shots[3].id, "1");
  EXPECT_TRUE(ChooseShots(train, false, 4, 0).empty()) << "tickets are no examples for questions";
}

TEST(ChooseShots, AnswersAndRefusalsInProportion) {
  std::vector<Item> train;
  for (int i = 0; i < 20; ++i) {
    train.push_back(MakeItem(std::to_string(i), i < 16 ? "facts" : "unanswerable", "x"));
    train.back().answerable = i < 16;
  }
  const std::vector<Item> shots = ChooseShots(train, false, 5, 7);
  ASSERT_EQ(shots.size(), 5u);
  EXPECT_EQ(std::count_if(shots.begin(), shots.end(), [](const Item& item) { return !item.answerable; }), 1);
  const std::vector<Item> again = ChooseShots(train, false, 5, 7);
  for (size_t i = 0; i < shots.size(); ++i) EXPECT_EQ(shots[i].id, again[i].id);
}

}  // namespace
}  // namespace qad

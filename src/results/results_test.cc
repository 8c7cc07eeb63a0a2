#include "results/results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/files.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

class ResultsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("qad_results_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string ErrorOf(const std::string& text) {
    std::ofstream(folder_ / "bad.json") << text;
    try {
      ReadResults(folder_ / "bad.json");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return error.what();
    }
    return "";
  }

  fs::path folder_;
};

Row MakeRow(const std::string& arm, const std::string& slice, const std::string& metric, double value) {
  Row row;
  row.arm = arm;
  row.slice = slice;
  row.metric = metric;
  row.value = value;
  row.n = 40;
  return row;
}

Results Example() {
  Results results;
  results.partial = true;
  results.manifest = {{"seed", 7}, {"machine", {{"cpu", "Zen 4"}}}};
  results.settings = {{"model", "x"}};
  ArmInfo arm;
  arm.name = "base + rag";
  arm.weights = "bf16";
  arm.made = "as it came";
  arm.prompting = "rag";
  arm.moving_parts = 1;
  results.arms = {arm};
  results.rows = {MakeRow("base + rag", "facts/stable", "contains", 1.0 / 3),
                  MakeRow("base + rag", "speed", "decode", 99.5)};
  results.rows[0].low = 0.2;
  results.rows[0].high = 0.5;
  Comparison comparison;
  comparison.better = "lora";
  comparison.than = "base";
  comparison.slice = "facts";
  comparison.metric = "contains";
  comparison.declared = true;
  comparison.n = 40;
  comparison.clusters = 39;
  comparison.difference = -0.1;
  comparison.p_value = 0.01;
  comparison.verdict = "worse";
  results.comparisons = {comparison};
  Curve curve;
  curve.arm = "lora";
  curve.steps = {1, 2};
  curve.losses = {2.5, 1.25};
  results.curves = {curve};
  return results;
}

TEST_F(ResultsTest, RoundTripKeepsEverything) {
  const Results out = Example();
  WriteResults(folder_ / "results.json", out);
  const Results in = ReadResults(folder_ / "results.json");
  EXPECT_TRUE(in.partial);
  EXPECT_EQ(in.manifest, out.manifest);
  EXPECT_EQ(in.settings, out.settings);
  ASSERT_EQ(in.rows.size(), 2u);
  EXPECT_EQ(in.rows[0].value, 1.0 / 3);  // every bit
  EXPECT_EQ(in.rows[0].low, 0.2);
  EXPECT_FALSE(in.rows[1].low.has_value());
  EXPECT_EQ(in.Arm("base + rag")->moving_parts, 1);
  ASSERT_EQ(in.comparisons.size(), 1u);
  EXPECT_EQ(in.comparisons[0].verdict, "worse");
  EXPECT_EQ(in.comparisons[0].clusters, 39);
  EXPECT_EQ(in.curves.at(0).losses, out.curves[0].losses);
  // Written again, the file is the same: nothing is lost on the way.
  WriteResults(folder_ / "again.json", in);
  EXPECT_EQ(ReadTextFile(folder_ / "again.json"), ReadTextFile(folder_ / "results.json"));
}

TEST_F(ResultsTest, Lookups) {
  const Results results = Example();
  EXPECT_EQ(results.Value("base + rag", "facts/stable", "contains"), 1.0 / 3);
  EXPECT_FALSE(results.Value("base", "facts/stable", "contains").has_value());
  EXPECT_EQ(results.Find("base + rag", "facts", "contains"), nullptr);
  EXPECT_EQ(results.Arm("nobody"), nullptr);
  EXPECT_EQ(results.Slices(), std::vector<std::string>{"facts/stable"});
}

TEST_F(ResultsTest, NaNIsRefusedAndTheOldFileStays) {
  WriteResults(folder_ / "results.json", Example());
  const std::string before = ReadTextFile(folder_ / "results.json");
  Results broken = Example();
  broken.rows[0].value = std::nan("");
  EXPECT_THROW(WriteResults(folder_ / "results.json", broken), Error);
  EXPECT_EQ(ReadTextFile(folder_ / "results.json"), before);
}

TEST_F(ResultsTest, ErrorsNameFileAndPlace) {
  EXPECT_NE(ErrorOf("{}").find("schema_version"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"schema_version": 99})").find("schema version 99"), std::string::npos);
  EXPECT_NE(
      ErrorOf(R"({"schema_version": 2, "manifest": {}, "settings": {}, "arms": {}})").find("\"arms\" must be a list"),
      std::string::npos);
  const std::string wrong_row = ErrorOf(
      R"({"schema_version":2,"manifest":{},"settings":{},"arms":[],"rows":[{"arm":"a","slice":"s","metric":"m","value":"1","n":1}]})");
  EXPECT_NE(wrong_row.find("bad.json: rows[0]"), std::string::npos) << wrong_row;
  EXPECT_NE(wrong_row.find("\"value\""), std::string::npos) << wrong_row;
  EXPECT_NE(ErrorOf("{\"schema_version\": 1,").find("not valid JSON"), std::string::npos);
  EXPECT_THROW(ReadResults(folder_ / "missing.json"), Error);
}

TEST_F(ResultsTest, SamplesRoundTrip) {
  Sample sample;
  sample.arm = "base";
  sample.item = "i1";
  sample.slice = "facts";
  sample.cluster = "f1";
  sample.prompt_tokens = 12;
  sample.truncated = true;
  sample.seconds = 0.25;
  sample.output = "two\nlines, \"quotes\" and \xE2\x82\xAC";
  sample.scores = {{"contains", 1}, {"token_f1", 0.4}};
  sample.passages = {"a.md#B"};
  WriteSamples(folder_ / "base.jsonl", {sample, sample});
  const std::vector<Sample> in = ReadSamples(folder_ / "base.jsonl");
  ASSERT_EQ(in.size(), 2u);
  EXPECT_EQ(in[1].output, sample.output);
  EXPECT_EQ(in[1].scores, sample.scores);
  EXPECT_EQ(in[1].passages, sample.passages);
  EXPECT_TRUE(in[1].truncated);
  WriteSamples(folder_ / "none.jsonl", {});
  EXPECT_TRUE(ReadSamples(folder_ / "none.jsonl").empty());
}

TEST_F(ResultsTest, ACutSampleNamesItsLine) {
  WriteSamples(folder_ / "base.jsonl", {Sample{}});
  std::ofstream(folder_ / "base.jsonl", std::ios::app) << "{\"arm\": \"ba";
  try {
    ReadSamples(folder_ / "base.jsonl");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("base.jsonl:2"), std::string::npos) << error.what();
  }
}

TEST(SamplesFileName, IsAPlainName) {
  EXPECT_EQ(SamplesFileName("base + few-shot"), "base+few-shot.jsonl");
  EXPECT_EQ(SamplesFileName("gguf:Q4_K_M"), "gguf-Q4_K_M.jsonl");
  EXPECT_EQ(SamplesFileName("lora merged"), "lora-merged.jsonl");
  EXPECT_EQ(SamplesFileName("../x"), "..-x.jsonl");
}

}  // namespace
}  // namespace qad

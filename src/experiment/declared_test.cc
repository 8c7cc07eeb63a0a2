#include "experiment/declared.h"

#include "base/files.h"
#include "base/test_files.h"
#include "results/results.h"

namespace qad {
namespace {

const ComparisonConfig kLora = {.better = "lora", .than = "base", .slice = "facts", .metric = "contains"},
                       kRag = {.better = "base + rag", .than = "base", .slice = "facts", .metric = "contains"};

class DeclaredTest : public ::testing::Test {
 protected:
  DeclaredTest() {
    for (const char* name : {"base", "lora", "base + rag"}) config_.arms.push_back({.name = name, .adapter = {}});
    config_.comparisons = {kLora};
    config_.decide.required = {{"facts", 0.6}};
  }
  Declared Declare() {
    Declared declared = DeclareBeforehand(folder_ / "outputs", config_);
    KeepDeclared(folder_ / "outputs", config_);
    EXPECT_EQ(DeclareBeforehand(folder_ / "outputs", config_).beforehand, declared.beforehand);
    return declared;
  }
  void Answer(const std::string& arm) { folder_.Write("outputs/samples/" + SamplesFileName(arm), "{}\n"); }
  TempFolder folder_;
  Config config_;
};

TEST_F(DeclaredTest, WhatIsAddedAfterALookIsNot) {
  MakeFolders(folder_ / "outputs");
  EXPECT_EQ(Declare().beforehand, std::vector<bool>{true});
  Answer("base");
  Answer("lora");
  config_.comparisons = {kRag, kLora};  // RAG has no answers yet
  EXPECT_EQ(Declare().beforehand, (std::vector<bool>{true, true}));
  Answer("base + rag");
  const ComparisonConfig late = {.better = "base + rag", .than = "lora", .slice = "facts", .metric = "contains"};
  config_.comparisons.push_back(late);
  EXPECT_EQ(Declare().beforehand, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(Declare().beforehand, (std::vector<bool>{true, true, false})) << "it stays so";
}

TEST_F(DeclaredTest, WhatIsTakenOutAfterALookIsTold) {
  MakeFolders(folder_ / "outputs");
  config_.comparisons = {kLora, kRag};
  Declare();
  Answer("base");
  Answer("lora");
  config_.comparisons.clear();
  EXPECT_EQ(Declare().withdrawn, std::vector<std::string>{"lora − base on facts (contains)"});
  config_.comparisons = {kLora};
  EXPECT_TRUE(Declare().withdrawn.empty());
}

TEST_F(DeclaredTest, FloorsMarginAndConfidenceMoveUntilThereAreAnswers) {
  MakeFolders(folder_ / "outputs");
  Declare();
  config_.decide.required = {{"facts", 0.5}};
  config_.eval.margin = 0.02;
  config_.eval.confidence = 0.9;
  EXPECT_EQ(Declare().floors.at("facts"), 0.5);
  Answer("lora");
  config_.decide.required = {{"facts", 0.1}};
  config_.eval.margin = 0.5;
  config_.eval.confidence = 0.5;
  EXPECT_EQ(Declare().floors.at("facts"), 0.5);
  EXPECT_EQ(Declare().margin, 0.02);
  EXPECT_EQ(Declare().confidence, 0.9);
}

TEST_F(DeclaredTest, OlderResultsKeepTheirDeclarations) {
  Results results;
  Comparison comparison;
  comparison.better = kLora.better;
  comparison.than = kLora.than;
  comparison.slice = kLora.slice;
  comparison.metric = kLora.metric;
  comparison.declared = true;
  results.comparisons = {comparison};
  MakeFolders(folder_ / "outputs");
  WriteResults(folder_ / "outputs" / "results.json", results);
  for (const char* arm : {"base", "lora", "base + rag"}) Answer(arm);
  config_.comparisons = {kLora, kRag};
  EXPECT_EQ(Declare().beforehand, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace qad

// Adapters on their way into production, as the program serves them.
#include <algorithm>

#include "program_testing.h"
#include "results/decision.h"
#include "results/results.h"

namespace qad {
namespace {

constexpr const char* kForms =
    "adapters: {lora: {}}\ntrain: {epochs: 8, batch_size: 4, learning_rate: 0.01}\n"
    "arms: [base, lora, lora merged, 'lora merged gguf:Q8_0', 'lora on gguf:Q8_0']\n"
    "decide: {required: {facts: 0.5}}\n";

std::string Choices() {
  std::string lines;
  for (const char* task : {"capitals", "sums"})
    for (int i = 0; i < 3; ++i)
      lines += fmt::format(
          R"({{"id": "{0}-{1}", "slice": "{0}", "system": null, "prompt": "Which {0} {1}?", "completion": "a{1}", "choices": ["a{1}", "bb", "c"]}})"
          "\n",
          task, i);
  return lines;
}

class AdapterProgram : public Program {
 protected:
  void Write(const std::string& more) {
    std::string config(kMinimal);
    config.insert(config.find("eval: {max_new"), more);
    config.replace(config.find("eval: eval.jsonl"), 16, "eval: eval.jsonl, zero_shot: choices.jsonl");
    config.replace(config.find("bootstrap: 100"), 14, "bootstrap: 100, text_only: [lora merged int8]");
    folder_.Write("config.yaml", config);
    folder_.Write("choices.jsonl", Choices());
  }
};

TEST_F(AdapterProgram, EveryFormIsHeldAgainstTheAdapterAsTrained) {
  Write(kForms);
  const Ended ended = Run({"run"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  for (const char* made : {"lora-merged/model.safetensors", "lora-merged-gguf-Q8_0.gguf", "lora_adapter.gguf",
                           "lora-merged-int8/model.safetensors"})
    EXPECT_TRUE(fs::exists(folder_ / "outputs" / made)) << made;
  const Results results = ReadResults(folder_ / "outputs" / "results.json");
  EXPECT_EQ(results.Arm("lora")->deployed, kAsTrained);
  EXPECT_EQ(results.Arm("lora merged gguf:Q8_0")->deployed, kMergedIn);
  EXPECT_EQ(results.Arm("lora on gguf:Q8_0")->deployed, kOnOthers);
  EXPECT_EQ(results.forms.size(), 4u);
  const auto kl = [&](const char* form) { return results.Value(form, kParitySlice, "kl_divergence"); };
  for (const char* form : {"lora merged", "lora merged gguf:Q8_0", "lora on gguf:Q8_0", "lora merged int8"}) {
    ASSERT_TRUE(kl(form)) << form;
    EXPECT_GE(*kl(form), 0) << form;
    EXPECT_LT(*kl(form), 0.05) << form;
    EXPECT_GT(*results.Value(form, kParitySlice, "resident_bytes"), 0) << form;
  }
  // Merging rounds to bf16 once; the base without the adapter is far away.
  EXPECT_LT(*kl("lora merged"), 0.1 * *results.Value("lora", kTextSlice, "kl_divergence"));
  EXPECT_TRUE(results.Value("lora merged", "facts", "contains"));
  EXPECT_FALSE(results.Value("lora merged int8", "facts", "contains")) << "on texts alone";
  const double again = *results.Value("lora", kTrainingSlice, "seconds") +
                       *results.Value("lora merged", kQuantizeSlice, "seconds") +
                       *results.Value("lora merged gguf:Q8_0", kQuantizeSlice, "seconds") +
                       *results.Value("lora merged gguf:Q8_0", kUpdateSlice, "evaluation_seconds");
  EXPECT_NEAR(*results.Value("lora merged gguf:Q8_0", kUpdateSlice, "seconds_to_update"), again, 1e-9);
  // What was forgotten, of the base and of the adapter as it was trained.
  for (const char* metric : {"choice", "choice:capitals", "choice:sums"}) {
    EXPECT_TRUE(results.Value("base", kZeroShotSlice, metric)) << metric;
    EXPECT_TRUE(results.Value("lora", kZeroShotSlice, metric)) << metric;
    EXPECT_FALSE(results.Value("lora merged", kZeroShotSlice, metric)) << metric;
  }
  EXPECT_NEAR(*results.Value("lora", kZeroShotSlice, "choice_difference"),
              *results.Value("lora", kZeroShotSlice, "choice") - *results.Value("base", kZeroShotSlice, "choice"),
              1e-9);
  EXPECT_GT(*results.Value("lora", kTextSlice, "perplexity_ratio"), 1) << "trained on something else";
  ASSERT_EQ(results.curves.size(), 1u);
  EXPECT_EQ(results.curves[0].tokens_per_second.size(), results.curves[0].steps.size());
  EXPECT_EQ(results.curves[0].rss_bytes.size(), results.curves[0].steps.size());
  EXPECT_EQ(ReadDecision(folder_ / "outputs" / "decision.json").deployment.size(), 4u);
  const std::string page = FileBytes(Path("outputs/benchmark_results.md"));
  for (const char* section : {"## Deployment parity", "## What training made it forget"})
    EXPECT_NE(page.find(section), std::string::npos) << section;
  EXPECT_EQ(StagesDone(Run({"run"}).err), std::vector<std::string>{}) << "all of it is there";
}

TEST_F(AdapterProgram, AnotherTrainingIsMergedAgain) {
  Write(kForms);
  ASSERT_EQ(Run({"run"}).code, 0);
  const std::string merged = FileBytes(Path("outputs/lora-merged/model.safetensors"));
  // A cut run has an adapter of its own, and makes forms of that.
  ASSERT_EQ(Run({"run", "--max-train-samples", "4", "--max-eval-samples", "2"}).code, 0);
  EXPECT_EQ(FileBytes(Path("outputs/lora-merged/model.safetensors")), merged);
  EXPECT_NE(FileBytes(Path("outputs/partial/lora-merged/model.safetensors")), merged);
  std::string config = FileBytes(Path("config.yaml"));
  config.replace(config.find("0.01"), 4, "0.02");
  folder_.Write("config.yaml", config);
  const std::vector<std::string> again = StagesDone(Run({"run"}).err);
  for (const char* stage : {"train adapter lora", "make lora merged weights", "make lora merged gguf:Q8_0 weights",
                            "adapter lora as a GGUF file", "parity of lora on gguf:Q8_0", "evaluate lora merged"})
    EXPECT_NE(std::ranges::find(again, stage), again.end()) << stage;
  for (const char* stage : {"make gguf:Q8_0 weights", "evaluate base", "zero-shot tasks, base"})
    EXPECT_EQ(std::ranges::find(again, stage), again.end()) << stage;
  EXPECT_NE(FileBytes(Path("outputs/lora-merged/model.safetensors")), merged);
}

TEST_F(AdapterProgram, QuestionsAreAnsweredInEveryForm) {
  Write(kForms);
  ExpectEnd(Run({"ask", "--arm", "lora", "What is thing 1?"}), 3, {"lora_adapter", "qad train"});
  ASSERT_EQ(Run({"run"}).code, 0);
  for (const char* arm : {"lora", "lora merged", "lora merged gguf:Q8_0", "lora on gguf:Q8_0"})
    EXPECT_EQ(Run({"ask", "--arm", arm, "What is thing 1?"}).code, 0) << arm;
  // What was made of an earlier training answers no more.
  std::string config = FileBytes(Path("config.yaml"));
  config.replace(config.find("0.01"), 4, "0.02");
  folder_.Write("config.yaml", config);
  ASSERT_EQ(Run({"train"}).code, 0);
  EXPECT_EQ(Run({"ask", "--arm", "lora", "What is thing 1?"}).code, 0);
  for (const char* arm : {"lora merged", "lora merged gguf:Q8_0", "lora on gguf:Q8_0"})
    ExpectFailure({"ask", "--arm", arm, "What is thing 1?"}, 2, {"of another training", "qad run"});
}

TEST_F(AdapterProgram, TasksWithoutChoicesAreRefused) {
  Write(kForms);
  folder_.Write("choices.jsonl", Items(2, "thing"));
  ExpectEnd(Run({"run"}), 3, {"choices.jsonl:1", "\"choices\""});
  EXPECT_FALSE(fs::exists(folder_ / "outputs"));
}

}  // namespace
}  // namespace qad

// The whole loop, as its users run it: what it makes, and what is done again when an input changes.
#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "program_testing.h"

namespace qad {
namespace {

TEST_F(Program, RunMakesThePackAndDoesNothingTwice) {
  const Ended first = Run({"run"});
  ASSERT_EQ(first.code, 0) << first.err;
  for (const char* name : {"results.json", "decision.json", "memory_math.json", "memory_math.md",
                           "benchmark_results.md", "decision_memo.md", "report.html", "samples/base+few-shot.jsonl",
                           "int8/model.safetensors", "lora_adapter/adapter_model.safetensors"})
    EXPECT_TRUE(fs::exists(folder_ / "outputs" / name)) << name;
  EXPECT_NE(first.out.find("Recommendation"), std::string::npos);
  EXPECT_EQ(StagesDone(first.err).size(), 20u) << first.err;
  const Ended second = Run({"run"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(StagesDone(second.err), std::vector<std::string>());
  EXPECT_EQ(second.out, first.out);
  // What was planned is what was allocated, and the page has both.
  const Json math = ReadJsonFile(folder_ / "outputs" / "memory_math.json");
  int exact = 0;
  for (const Json& check : math["checks"])
    if (check["what"] == "base: weights" || check["what"] == "int8: KV cache") {
      EXPECT_EQ(check["predicted"], check["measured"]) << check;
      ++exact;
    }
  EXPECT_EQ(exact, 2) << math["checks"];
  const Ended evaluated = Run({"eval"});
  EXPECT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_TRUE(fs::exists(folder_ / "outputs/decision.json")) << "nothing new was measured: the decision stands";
  const Ended report = Run({"report"}), decide = Run({"decide"});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(decide.code, 0) << decide.err;
}

// Of arms that have answered the same items, whatever was declared.
TEST_F(Program, ArmsAreComparedFromResults) {
  folder_.Write("config.yaml",
                std::string(kConfig) + "comparisons: [{better: lora, than: base, slice: facts, metric: contains}]\n");
  RunWhole();
  const Ended declared = Run({"compare", "lora", "base", "--json"}), other = Run({"compare", "int8", "base", "--json"});
  ASSERT_EQ(declared.code, 0) << declared.err;
  ASSERT_EQ(other.code, 0) << other.err;
  const Json first = ParseJson(declared.out, "compare")["comparisons"],
             second = ParseJson(other.out, "compare")["comparisons"];
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]["slice"], "facts");
  EXPECT_EQ(first[0]["metric"], "contains");
  EXPECT_EQ(first[0]["n"], 4);
  EXPECT_TRUE(first[0]["declared"]);
  EXPECT_TRUE(first[0]["verdict"].is_string());
  EXPECT_TRUE(second[0]["verdict"].is_null());
  const Ended turned = Run({"compare", "base", "lora", "--json"});
  const Json third = ParseJson(turned.out, "compare")["comparisons"];
  ASSERT_EQ(third.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(third[i]["verdict"].is_null(), first[i]["verdict"].is_null());
    EXPECT_EQ(third[i]["declared"], first[i]["declared"]);
    if (first[i]["declared"] == true) {
      EXPECT_EQ(third[i]["low"].get<double>(), -first[i]["high"].get<double>());
    }
  }
  ExpectFailure({"compare", "base", "base"}, 2, {"given twice"});
  const Ended f1 = Run({"compare", "lora", "base", "--metric", "token_f1"});
  EXPECT_NE(f1.out.find("token_f1"), std::string::npos) << f1.out;
  ExpectFailure({"compare", "lora", "bas"}, 2, {"'bas' is none of the arms", "did you mean 'base'"});
  ExpectFailure({"compare", "lora", "base", "--metric", "bleu"}, 2, {"bleu", "token_f1"});
}

TEST_F(Program, ConversationsAreHeldLineByLine) {
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base]\n");
  const auto chat = [&](const std::string& lines) {
    folder_.Write("lines.txt", lines);
    const std::string command = std::string(QAD_PROGRAM) + " chat --json --threads 1 --config " + Path("config.yaml") +
                                " < " + Path("lines.txt") + " > " + (logs_ / "out.txt").string() + " 2> " +
                                (logs_ / "err.txt").string();
    const int code = WEXITSTATUS(std::system(command.c_str()));
    std::vector<Json> answers;
    std::istringstream out(FileBytes(logs_ / "out.txt"));
    for (std::string line; std::getline(out, line);) answers.push_back(ParseJson(line, "chat"));
    EXPECT_EQ(code, 0) << FileBytes(logs_ / "err.txt");
    return answers;
  };
  const auto once = chat("What is thing 1?\n"), twice = chat("What is thing 1?\nAnd thing 2?\n\nWhat is thing 1?\n");
  ASSERT_EQ(once.size(), 1u);
  ASSERT_EQ(twice.size(), 3u);
  EXPECT_EQ(twice[0], once[0]);
  EXPECT_EQ(twice[2], once[0]) << "an empty line begins anew";
  // More turns than the model has positions for: the oldest go, and it goes on.
  std::string many;
  for (int i = 0; i < 12; ++i) many += "What is thing number " + std::to_string(i) + ", and why is it so?\n";
  EXPECT_EQ(chat(many).size(), 12u);
  EXPECT_NE(FileBytes(logs_ / "err.txt").find("oldest turns"), std::string::npos);
}

// However the folder is called, what was done stays done.
TEST_F(Program, AnotherSpellingOfTheFolderRepeatsNothing) {
  RunWhole();
  const fs::path link = folder_.path().string() + "-link";
  fs::create_directory_symlink(folder_.path(), link);
  const Ended again = Wait(Start({"run", "--config", (link / "." / "config.yaml").string()}));
  fs::remove(link);
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(StagesDone(again.err), std::vector<std::string>());
}

// Without a wait policy in the environment the program starts itself again: arguments and exit codes stay.
TEST_F(Program, StartsItselfAgainWithAShorterSpin) {
  const fs::path program = QAD_PROGRAM;
  const auto run = [&](const std::string& words) {
    return WEXITSTATUS(std::system(("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT " + program.string() + words).c_str()));
  };
  EXPECT_EQ(run(" memory llama-3.1-8b --context 1000 > " + (logs_ / "out.txt").string()), 0);
  EXPECT_NE(FileBytes(logs_ / "out.txt").find("Context 1,000"), std::string::npos);
  EXPECT_EQ(run(" trian 2> /dev/null"), 2);
}

// One input changed at a time: what depends on it is done again, and nothing else.
TEST_F(Program, RepeatsWhatAChangedInputTouches) {
  RunWhole();
  const auto repeated = [&] {
    const Ended ended = Run({"run"});
    EXPECT_EQ(ended.code, 0) << ended.err;
    return StagesDone(ended.err);
  };
  const auto has = [](const std::vector<std::string>& stages, const std::string& stage) {
    return std::ranges::find(stages, stage) != stages.end();
  };
  folder_.Write("pages/a.md", "# Matters\n\nMatter 1 is 12.\n");
  std::vector<std::string> stages = repeated();
  EXPECT_TRUE(has(stages, "index the documents") && has(stages, "evaluate base + rag"));
  EXPECT_FALSE(has(stages, "evaluate base") || has(stages, "evaluate lora") || has(stages, "train adapter lora"));

  folder_.Write("eval.jsonl", Items(5, "matter"));
  stages = repeated();
  EXPECT_TRUE(has(stages, "evaluate base") && has(stages, "evaluate lora"));
  EXPECT_FALSE(has(stages, "train adapter lora") || has(stages, "write int8 weights"));

  folder_.Write("config.yaml", std::string(kConfig) + "lora: {r: 4}\n");
  stages = repeated();
  EXPECT_TRUE(has(stages, "train adapter lora") && has(stages, "evaluate lora"));
  EXPECT_FALSE(has(stages, "evaluate base") || has(stages, "write int8 weights"));

  folder_.Write("config.yaml", std::string(kConfig) + "lora: {r: 4}\nhorizon: 1\n");
  EXPECT_EQ(Run({"run"}).code, 2) << "an unknown key";
}

// Texts without questions are scored by their likelihood alone.
TEST_F(Program, PlainTextsAreTrainedOnAndScored) {
  folder_.Write("train.jsonl", "{\"text\": \"one two three\"}\n{\"text\": \"three two one\"}\n");
  folder_.Write("eval.jsonl", "{\"text\": \"two one two\"}\n");
  folder_.Write("config.yaml",
                "model: model\ndata: {train: train.jsonl, eval: eval.jsonl}\narms: [base, lora]\n"
                "eval: {max_new_tokens: 4, repetitions: 1, bootstrap: 100}\n");
  const Ended ended = Run({"run", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json document = ParseJson(ended.out, "stdout");
  size_t rows = 0;
  for (const Json& row : document["rows"])
    if (row["metric"] == "answer_log_likelihood" && row["value"] < 0) ++rows;
  EXPECT_EQ(rows, 2u);
}

// Every kind of weights is made on demand, measured, shared with cut runs, and made again when what it depends on
// changes.
TEST_F(Program, QuantizedWeightsAreArms) {
  std::string config(kConfig);
  config.replace(config.find("arms: ["), std::string("arms: [base, base + few-shot, base + rag, int8, lora]").size(),
                 "arms: [base, int8, nf4, gptq-4, awq-4, \"gguf:q5_0\", \"auto:90kB\"]");
  folder_.Write("texts.jsonl", Items(40, "thing"));
  folder_.Write("config.yaml", config + "quantize: {group_size: 32, calibration: {from: texts.jsonl, length: 48}}\n");
  ASSERT_EQ(Run({"train"}).code, 0);
  const Ended ended = Run({"eval", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  for (const char* name : {"int8/model.safetensors", "int8-per-tensor/model.safetensors", "gptq-4/model.safetensors",
                           "awq-4/quantize_config.json", "gguf-Q5_0.gguf", "auto-90kB.gguf"})
    EXPECT_TRUE(fs::exists(Path("outputs") + "/" + name)) << name;
  const Json results = ReadJsonFile(Path("outputs/results.json"));
  const auto value = [&](const std::string& arm, const std::string& slice, const std::string& metric) {
    for (const Json& row : results["rows"])
      if (row["arm"] == arm && row["slice"] == slice && row["metric"] == metric) return row["value"].get<double>();
    ADD_FAILURE() << arm << " " << metric;
    return 0.0;
  };
  for (const char* arm : {"int8", "nf4", "gptq-4", "awq-4", "gguf:Q5_0", "auto:90kB"}) {
    EXPECT_GT(value(arm, "quantize", "seconds"), 0);
    EXPECT_EQ(value(arm, "memory", "weights_bytes"), value(arm, "memory", "weights_bytes_predicted")) << arm;
    EXPECT_GE(value(arm, "text", "kl_divergence"), 0) << arm;
  }
  EXPECT_LE(value("auto:90kB", "quantize", "bytes"), 90000);
  ASSERT_EQ(results["fronts"].size(), 1u);
  EXPECT_GT(results["fronts"][0]["bytes"].size(), 3u);
  // A cut run takes the same weights.
  const Ended cut = Run({"eval", "--max-eval-samples", "2"});
  ASSERT_EQ(cut.code, 0) << cut.err;
  for (const std::string& stage : StagesDone(cut.err)) EXPECT_FALSE(stage.starts_with("make ")) << stage;
  // Other texts, other weights; int8 looks at none.
  folder_.Write("config.yaml", config + "quantize: {group_size: 32, calibration: {from: texts.jsonl, length: 40}}\n");
  const std::vector<std::string> again = StagesDone(Run({"eval"}).err);
  for (const char* stage : {"make gptq-4 weights", "evaluate gptq-4", "general text, gptq-4", "memory of gptq-4"})
    EXPECT_NE(std::ranges::find(again, stage), again.end()) << stage;
  for (const char* stage : {"make int8 weights", "evaluate int8", "general text, int8"})
    EXPECT_EQ(std::ranges::find(again, stage), again.end()) << stage;
}

// What the machine can do is measured beside it, and no time is left out of the profile.
TEST_F(Program, BenchmarksAreHeldAgainstCeilings) {
  const Ended ended = Wait(Start({"bench", Path("model"), "--prompt", "32", "--generate", "8", "--depth", "16",
                                  "--repetitions", "2", "--profile", "--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json rows = ParseJson(ended.out, "bench")["rows"];
  ASSERT_EQ(rows.size(), 2u);
  for (const Json& row : rows) {
    for (const char* field : {"n_prompt", "n_gen", "n_depth", "n_threads", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts",
                              "model_size", "model_n_params", "type_k", "test_time", "cpu_info"})
      EXPECT_TRUE(row.contains(field)) << field;
    EXPECT_EQ(row["samples_ns"].size(), 2u);
    for (const auto& [share, achieved, ceiling] :
         {std::tuple("share_of_reading", "gigabytes_per_second", "ceiling_gigabytes_per_second"),
          std::tuple("share_of_products", "gigaflops", "ceiling_gigaflops")}) {
      EXPECT_GT(row[share].get<double>(), 0) << share;
      EXPECT_NEAR(row[share].get<double>(), row[achieved].get<double>() / row[ceiling].get<double>(), 1e-12) << share;
    }
  }
  // Shares of each profile add up to the whole, "other" among them.
  std::istringstream lines(ended.err);
  std::vector<double> sums;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("time per operation") != std::string::npos) sums.push_back(0);
    if (const size_t at = line.find(" s "); !sums.empty() && line.ends_with("%") && at != std::string::npos)
      sums.back() += std::stod(line.substr(at + 3));
  }
  ASSERT_EQ(sums.size(), 2u) << ended.err;
  for (const double sum : sums) EXPECT_NEAR(sum, 100, 1) << ended.err;  // each is rounded to a tenth
}

}  // namespace
}  // namespace qad

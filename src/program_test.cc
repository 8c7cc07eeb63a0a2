// The program as its users run it, on a tiny random model: the whole loop, what is done again when an input changes,
// and what remains when something goes wrong half way.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <map>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "base/test_files.h"
#include "model/tiny_model.h"

extern char** environ;

namespace qad {
namespace {
namespace fs = std::filesystem;

constexpr const char* kModel =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
constexpr const char* kOtherModel =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
constexpr const char* kConfig = R"(model: model
data: {train: train.jsonl, eval: eval.jsonl, documents: [pages], max_length: 128}
adapters: {lora: {}}
train: {epochs: 2, batch_size: 4, save_every: 1}
arms: [base, base + few-shot, base + rag, int8, lora]
prompting: {few_shot: {examples: 2}}
eval: {max_new_tokens: 8, repetitions: 1, bootstrap: 100}
decide: {required: {facts: 0.5}}
)";

constexpr const char* kMinimal = R"(model: model
data: {train: train.jsonl, eval: eval.jsonl, max_length: 128}
eval: {max_new_tokens: 8, repetitions: 1, bootstrap: 100}
)";

void WriteModel(const fs::path& folder, const char* config) {
  tiny::WriteFolder(folder, config, DType::kF32);
  fs::copy_file(TestData("text/bytelevel-smollm/tokenizer.json"), folder / "tokenizer.json",
                fs::copy_options::overwrite_existing);
}

std::string Items(int count, const std::string& word) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines +=
        fmt::format(R"({{"id": "{0}-{1}", "slice": "facts", "prompt": "What is {0} {1}?", "completion": "{1}{1}"}})"
                    "\n",
                    word, i);
  return lines;
}

struct Ended {
  int code = 0;
  std::string out, err;
};

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteModel(folder_ / "model", kModel);
    folder_.Write("config.yaml", kConfig);
    folder_.Write("train.jsonl", Items(8, "thing"));
    folder_.Write("eval.jsonl", Items(4, "matter"));
    folder_.Write("pages/a.md", "# Matters\n\nMatter 1 is 11.\n\n# Things\n\nThing 2 is 22.\n");
  }

  pid_t Start(std::vector<std::string> words) const {
    words.insert(words.begin(), {"/bin/sh", "-c", "ulimit -f $0; exec \"$@\"", file_limit_, QAD_PROGRAM});
    words.insert(words.end(), {"--threads", "1"});
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const auto& [descriptor, name] : {std::pair(STDOUT_FILENO, "out.txt"), std::pair(STDERR_FILENO, "err.txt")})
      posix_spawn_file_actions_addopen(&actions, descriptor, (logs_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                       0644);
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, "/bin/sh", &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }

  Ended Wait(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), FileBytes(logs_ / "out.txt"),
            FileBytes(logs_ / "err.txt")};
  }

  // `qad WORDS --config config.yaml`.
  Ended Run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--config", Path("config.yaml")});
    return Wait(Start(words));
  }

  std::string Path(const char* name) const { return (folder_ / name).string(); }

  // Every file under outputs/, without what belongs to an unfinished training.
  std::map<std::string, std::string> Outputs() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "outputs"))
      if (entry.is_regular_file() && entry.path().string().find("/checkpoint/") == std::string::npos)
        files[entry.path().string()] = FileBytes(entry.path());
    return files;
  }

  static void ExpectEnd(const Ended& ended, int code, const std::vector<std::string>& said) {
    EXPECT_EQ(ended.code, code) << ended.err;
    for (const std::string& part : said)
      EXPECT_NE(ended.err.find(part), std::string::npos) << part << "\n" << ended.err;
  }

  // Runs a command that must fail so, with these words on stderr, and leave outputs/ as they were.
  void ExpectFailure(const std::vector<std::string>& words, int code, const std::vector<std::string>& said) const {
    const auto before = Outputs();
    ExpectEnd(Run(words), code, said);
    EXPECT_TRUE(Outputs() == before) << "outputs have changed";
  }

  void RunWhole() const {
    const Ended ended = Run({"run"});
    ASSERT_EQ(ended.code, 0) << ended.err;
  }

  TempFolder folder_, logs_;
  std::string file_limit_ = "unlimited";
};

// Stages that were not taken from the cache: the lines of stderr that begin with "> ".
std::vector<std::string> StagesDone(const std::string& err) {
  std::vector<std::string> stages;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("> ")) stages.push_back(line.substr(2));
  return stages;
}

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

TEST_F(Program, AFullStandardOutputIsAFailure) {
  const fs::path program = QAD_PROGRAM;
  const int status = std::system((program.string() + " memory llama-3.1-8b > /dev/full 2> /dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
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

TEST_F(Program, BadInputLeavesOutputsAlone) {
  RunWhole();
  const std::string train = Items(8, "thing");
  folder_.Write("train.jsonl", train.substr(0, train.size() - 20));  // the last line is cut in half
  for (const char* command : {"run", "train", "eval"}) ExpectFailure({command}, 3, {"train.jsonl:8"});
  folder_.Write("train.jsonl", train);

  folder_.Write("config.yaml", std::string(kConfig) + "lora: {rank: 4}\n");
  for (const char* command : {"run", "train", "eval", "decide", "report"})
    ExpectFailure({command}, 2, {"config.yaml:9", "rank", "'r'"});
  folder_.Write("config.yaml", kConfig);

  const fs::path weights = folder_ / "model" / "model.safetensors";
  const std::string whole = FileBytes(weights);
  folder_.Write("model/model.safetensors", whole.substr(0, whole.size() / 2));
  for (const char* command : {"run", "train", "eval"}) ExpectFailure({command}, 3, {"model.safetensors"});
  fs::remove(weights);
  for (const char* command : {"run", "train", "eval"}) ExpectFailure({command}, 3, {"model"});
  folder_.Write("model/model.safetensors", whole);
  EXPECT_EQ(StagesDone(Run({"run"}).err), std::vector<std::string>()) << "all is as it was";
}

TEST_F(Program, SamplesOfAnInterruptedRunAreNotJudged) {
  RunWhole();
  const fs::path samples = folder_ / "outputs/samples/lora.jsonl";
  const std::string own = FileBytes(samples);
  folder_.Write("outputs/samples/lora.jsonl", own.substr(own.find('\n') + 1));
  ExpectFailure({"decide"}, 3, {"lora.jsonl", "qad run"});
  RunWhole();  // the stage whose output has changed is done again
  const std::string again = FileBytes(samples);
  EXPECT_EQ(std::ranges::count(again, '\n'), std::ranges::count(own, '\n'));
  EXPECT_EQ(Run({"decide"}).code, 0);
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

TEST_F(Program, CalibrationDoesNotSeeTheEvaluation) {
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base, \"gguf:Q8_0\"]\n" +
                                   "quantize: {calibration: {from: calibration.jsonl, samples: 6, length: 48}}\n");
  folder_.Write("calibration.jsonl", Items(8, "thing") + Items(4, "matter"));
  const Ended refused = Run({"eval"});
  ExpectEnd(refused, 2, {"--allow-leak"});
  EXPECT_FALSE(fs::exists(Path("outputs/gguf-Q8_0.gguf")));
  ASSERT_EQ(Run({"eval", "--allow-leak"}).code, 0);
  const Json results = ReadJsonFile(Path("outputs/results.json"));
  EXPECT_EQ(results["manifest"]["leaks"].size(), 4u);
  EXPECT_EQ(results["manifest"]["leaks"][0]["corpus"], "calibration");
}

TEST_F(Program, WhatIsWrongInTheDataIsFoundBeforeAnythingIsMade) {
  folder_.Write("train.jsonl", Items(8, "thing") +
                                   R"({"prompt": "Sort.", "completion": "none", "schema": {"kind": ["a", "b"]}})"
                                   "\n");
  Ended ended = Run({"run"});
  ExpectEnd(ended, 3, {"train.jsonl:9"});
  folder_.Write("train.jsonl", Items(8, "thing"));
  folder_.Write("config.yaml",
                std::string(kConfig) + "comparisons: [{better: lora, than: base, slice: facts, metric: contain}]\n");
  ended = Run({"run"});
  ExpectEnd(ended, 2, {"did you mean 'contains'"});
  EXPECT_FALSE(fs::exists(folder_ / "outputs"));
}

TEST_F(Program, AnAdapterOfAnotherBaseIsRefused) {
  RunWhole();
  TempFolder elsewhere;
  WriteModel(elsewhere / "model", kOtherModel);
  elsewhere.Write("config.yaml", kConfig);
  elsewhere.Write("train.jsonl", Items(8, "thing"));
  elsewhere.Write("eval.jsonl", Items(4, "matter"));
  elsewhere.Write("pages/a.md", "# Matters\n\nMatter 1 is 11.\n");
  const Ended trained = Wait(Start({"train", "--config", (elsewhere / "config.yaml").string()}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::string adapter = (elsewhere / "outputs/lora_adapter").string();
  ExpectFailure({"eval", "--adapter-path", adapter}, 3, {adapter});
  ExpectFailure({"eval", "--adapter-path", Path("no-such")}, 3, {"no-such"});

  // The same shapes and other values: one weight's byte is another.
  std::string weights = FileBytes(folder_ / "model" / "model.safetensors");
  weights[weights.size() - 4] ^= 1;
  WriteModel(elsewhere / "model", kModel);
  elsewhere.Write("model/model.safetensors", weights);
  const Ended again = Wait(Start({"train", "--config", (elsewhere / "config.yaml").string()}));
  ASSERT_EQ(again.code, 0) << again.err;
  ExpectFailure({"eval", "--adapter-path", adapter}, 3, {adapter, "other weights"});
}

TEST_F(Program, AFullDiskLeavesOutputsAlone) {
  RunWhole();
  folder_.Write("config.yaml", std::string(kConfig) + "seed: 1\n");  // everything is to be made again
  file_limit_ = "8";                                                 // blocks of 512 bytes: no adapter fits
  ExpectFailure({"train"}, 1, {"lora_adapter"});
  ExpectFailure({"run"}, 1, {});
  file_limit_ = "unlimited";
  RunWhole();
}

TEST_F(Program, CtrlCInTrainingKeepsACheckpointAndTheOldAdapter) {
  RunWhole();
  std::string config(kConfig);
  config.replace(config.find("epochs: 2"), 9, "epochs: 3000");
  folder_.Write("config.yaml", config);
  const auto before = Outputs();
  const pid_t child = Start({"train", "--config", Path("config.yaml")});
  const fs::path checkpoint = folder_ / "outputs/lora_adapter/checkpoint/trainer.json";
  for (int i = 0; i < 3000 && !fs::exists(checkpoint); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(child, SIGINT);
  const Ended ended = Wait(child);
  EXPECT_EQ(ended.code, 130) << ended.err;
  ASSERT_TRUE(fs::exists(checkpoint));
  EXPECT_TRUE(Outputs() == before) << "the finished adapter stands until the new one is finished";
  EXPECT_GT(ReadJsonFile(checkpoint)["step"].get<int64_t>(), 0);
}

TEST_F(Program, WhatTheMachineCannotDoIsRefusedBeforeItIsTried) {
  const auto refused = [&](std::vector<std::string> words, ErrorKind kind, const std::vector<std::string>& said) {
    ExpectEnd(Wait(Start(std::move(words))), static_cast<int>(kind), said);
  };
  // More than the model's positions.
  refused({"bench", Path("model"), "--prompt", "300", "--no-ceilings"}, ErrorKind::kInput, {"300", "256 positions"});
  refused({"generate", Path("model"), "--prompt", "Matter?", "--max-new-tokens", "300"}, ErrorKind::kInput,
          {"300 new ones", "256 positions"});
  // A terabyte of cache: the error knows how many sequences would fit.
  std::string far = kModel;
  const std::string positions = "\"max_position_embeddings\": 256";
  far.replace(far.find(positions), positions.size(), "\"max_position_embeddings\": 1000000");
  WriteModel(folder_ / "far", far.c_str());
  refused({"bench", Path("far"), "--prompt", "1000000", "--batch", "4096", "--no-ceilings"}, ErrorKind::kInput,
          {"4096 sequences of 1000000 tokens", "would fit", "smaller batch"});
  // Instructions that no CPU of this build has.
  const char* forced = std::getenv("QAD_ISA");
  const std::string before = forced != nullptr ? forced : "auto";
  ASSERT_EQ(::setenv("QAD_ISA", "NEON", 1), 0);
  refused({"bench", Path("model"), "--prompt", "8", "--no-ceilings"}, ErrorKind::kUsage, {"QAD_ISA", "NEON"});
  ASSERT_EQ(::setenv("QAD_ISA", before.c_str(), 1), 0);
}

TEST_F(Program, TheTypeOfTheKvCacheIsTheOneAskedFor) {
  const auto bench = [&](const char* type) {
    return Wait(Start({"bench", Path("model"), "--prompt", "8", "--generate", "4", "--repetitions", "1",
                       "--no-ceilings", "--json", "--kv-type", type}));
  };
  std::map<std::string, uint64_t> bytes;
  for (const char* type : {"f32", "fp16", "bf16"}) {
    const Ended ended = bench(type);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const Json report = ParseJson(ended.out, "bench");
    bytes[report["rows"][0]["kv_type"].get<std::string>()] = report["memory"]["kv_bytes"].get<uint64_t>();
  }
  EXPECT_EQ(bytes["f16"], bytes["bf16"]);
  EXPECT_EQ(bytes["f32"], 2 * bytes["bf16"]);
  ExpectEnd(bench("q8_0"), static_cast<int>(ErrorKind::kUsage), {"blocks of 32, which do not divide heads of 16"});
}

}  // namespace
}  // namespace qad

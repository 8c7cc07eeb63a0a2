// What remains when something goes wrong half way, and what is refused before anything is made.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "program_testing.h"

namespace qad {
namespace {

TEST_F(Program, AFullStandardOutputIsAFailure) {
  const fs::path program = QAD_PROGRAM;
  const int status = std::system((program.string() + " memory llama-3.1-8b > /dev/full 2> /dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
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

// Neither as part of a longer text, nor under a heading, nor the general text that divergence is measured on.
TEST_F(Program, CalibrationDoesNotSeeWhatIsJudgedInAnyForm) {
  folder_.Write("eval.jsonl",
                R"({"id": "long", "prompt": "Which of the many matters is the last one?", "completion": "9"})"
                "\n");
  const auto refuses = [&](const std::string& from, const std::string& why) {
    folder_.Write("config.yaml", std::string(kMinimal) +
                                     "arms: [base, \"gguf:Q8_0\"]\nquantize: {calibration: {from: " + from +
                                     ", samples: 6, length: 48}}\n");
    ExpectEnd(Run({"eval"}), 2, {"--allow-leak", why});
  };
  folder_.Write("plain.jsonl", R"({"text": "Asked: which of the many matters is the last one? The ninth."})"
                               "\n");
  refuses("plain.jsonl", "long");
  folder_.Write("pages.md", "# Which of the many matters is the last one?\n\nThe ninth.\n");
  refuses("pages.md", "long");
  const fs::path licence = "/usr/share/common-licenses/GFDL-1.3";
  if (fs::exists(licence)) refuses(licence.string(), "general text");
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

// CLI11 would say that --config is missing.
TEST_F(Program, MisspeltOptionsAreNamed) {
  ExpectEnd(Wait(Start({"run", "--confg", Path("config.yaml")})), 2, {"--confg", "did you mean '--config'"});
  ExpectEnd(Wait(Start({"quantize", Path("model"), "--metod=int8"})), 2, {"--metod", "did you mean '--method'"});
  ExpectEnd(Wait(Start({"quantize", Path("model"), "--method", "int8"})), 2, {"--output is required"});
}

TEST_F(Program, OptionsThatWouldNotCountAreRefused) {
  folder_.Write("texts.txt", "one two three");
  const auto quantize = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"quantize", Path("model"), "--output", Path("out")});
    return Wait(Start(std::move(words)));
  };
  ExpectEnd(quantize({"--method", "int8", "--bits", "4"}), 2, {"--bits", "int8"});
  ExpectEnd(quantize({"--method", "rtn", "--seed", "4"}), 2, {"--seed", "--calibration"});
  ExpectEnd(quantize({"--method", "gguf", "--damping", "0.1"}), 2, {"--damping", "--error-feedback"});
  ExpectEnd(quantize({"--method", "gguf", "--type", "F16", "--calibration", Path("texts.txt")}), 2, {"F16"});
  ExpectEnd(quantize({"--method", "auto", "--calibration", Path("texts.txt")}), 2, {"--budget", "--max-kl"});
  ExpectEnd(quantize({"--method", "auto", "--calibration", Path("texts.txt"), "--budget", "much"}), 2,
            {"much", "90MB"});
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Program, ADryRunFindsWhatWouldStopTheRun) {
  const auto planned = [&](const std::string& more) {
    folder_.Write("config.yaml", std::string(kMinimal) + more);
    return Run({"run", "--dry-run"});
  };
  folder_.Write("eval.jsonl", Items(3, "matter") + Items(1, "thing"));
  const Ended whole = planned("");
  ExpectEnd(whole, 0, {"thing-0"});  // the item that is in both
  EXPECT_NE(whole.out.find("train adapter lora"), std::string::npos) << whole.out;
  ExpectEnd(planned("lora: {target_modules: [k_prj]}\n"), 2, {"k_prj", "k_proj"});
  ExpectEnd(planned("output: train.jsonl/below\n"), 1, {"train.jsonl is no folder"});
  EXPECT_FALSE(fs::exists(folder_ / "outputs"));
}

// What was answered before a kill is not answered again: the batches that lay there make the beginning of the samples,
// times and all.
TEST_F(Program, AKilledEvaluationGoesOnBehindItsLastBatch) {
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base]\n");
  folder_.Write("eval.jsonl", Items(1500, "matter"));
  const fs::path batches = folder_ / "outputs" / "samples" / "base.batches";
  const pid_t child = Start({"eval", "--config", Path("config.yaml")});
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  while (!fs::exists(batches / "000001.json") && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGKILL);
  EXPECT_EQ(Wait(child).code, 1000 + SIGKILL);
  std::vector<std::string> before;
  for (size_t batch = 0; fs::exists(batches / fmt::format("{:06}.json", batch)); ++batch) {
    const Json root = ReadJsonFile(batches / fmt::format("{:06}.json", batch));
    for (const Json& sample : root["samples"]) before.push_back(sample.dump());
  }
  ASSERT_GE(before.size(), 256u);
  ASSERT_LT(before.size(), 1500u) << "killed too late to show anything";
  const Ended ended = Run({"eval"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  std::istringstream lines(FileBytes(folder_ / "outputs" / "samples" / "base.jsonl"));
  std::vector<std::string> samples;
  for (std::string line; std::getline(lines, line);) samples.push_back(ParseJson(line, "sample").dump());
  ASSERT_EQ(samples.size(), 1500u);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), samples.begin())) << "answered again";
  EXPECT_FALSE(fs::exists(batches));
}

// What `qad init` writes runs as it is, and nothing is replaced.
TEST_F(Program, AProjectBeginsWithDataThatRuns) {
  const std::string folder = Path("project");
  const Ended made = Wait(Start({"init", folder, "--model", Path("model"), "--json"}));
  ASSERT_EQ(made.code, 0) << made.err;
  const Json report = ParseJson(made.out, "init");
  EXPECT_EQ(report["written"].size(), 6u);
  EXPECT_NE(report["power"].dump().find("too few to show any difference"), std::string::npos) << report;
  const Ended plan = Wait(Start({"run", "--config", folder + "/config.yaml", "--dry-run", "--json"}));
  ASSERT_EQ(plan.code, 0) << plan.err;
  EXPECT_EQ(ParseJson(plan.out, "plan")["power"], report["power"]);
  ExpectEnd(Wait(Start({"init", folder})), 2, {"config.yaml: is there already"});
}

// A dataset of one's own is split, checked for leaks, and has its effect sizes said; what comes of it can be planned.
TEST_F(Program, AProjectBeginsWithItsOwnData) {
  std::string lines;
  for (int i = 0; i < 60; ++i)
    lines +=
        fmt::format(
            R"({{"prompt": "Which shelf holds box number {0}?", "completion": "shelf {0}", "slice": "facts/{1}"}})", i,
            i % 2 == 0 ? "even" : "odd") +
        "\n";
  const std::string twin =
      R"({"prompt": "WHICH SHELF holds box number 7", "completion": "shelf 7", "slice": "facts/odd"})";
  WriteFileAtomic(folder_ / "all.jsonl", lines + twin + "\n");
  MakeFolders(folder_ / "pages");
  std::string page = "# Shelves\n\nPeople ask:";
  for (int i = 0; i < 60; ++i) page += fmt::format(" which shelf holds box number {}?", i);  // every question
  WriteFileAtomic(folder_ / "pages" / "shelves.md", page + "\n");
  const std::string folder = Path("own");
  const std::vector<std::string> command = {
      "init", folder, "--model", Path("model"), "--data", Path("all.jsonl"), "--documents", Path("pages"), "--json"};
  const Ended made = Wait(Start(command));
  ASSERT_EQ(made.code, 0) << made.err;
  const Json report = ParseJson(made.out, "init");
  int64_t items = 0;
  std::string kept;
  for (const char* part : {"train", "dev", "eval"}) {
    for (const auto& [slice, sizes] : report["items"].items()) items += sizes[part].get<int64_t>();
    kept += FileBytes(fs::path(folder) / "data" / (std::string(part) + ".jsonl"));
  }
  EXPECT_EQ(items, 61);
  ASSERT_FALSE(report["leaks"].empty());
  EXPECT_EQ(report["leaks"][0]["corpus"], "documents");
  EXPECT_NE(kept.find(twin), std::string::npos) << "lines are kept as they are";
  const Ended plan = Wait(Start({"run", "--config", folder + "/config.yaml", "--dry-run", "--json"}));
  ASSERT_EQ(plan.code, 0) << plan.err;
  EXPECT_EQ(ParseJson(plan.out, "plan")["power"], report["power"]);
  ExpectEnd(Wait(Start({"init", Path("other"), "--documents", Path("pages")})), 2, {"--documents", "--data"});
  WriteFileAtomic(folder_ / "one.jsonl", twin + "\n");
  ExpectEnd(Wait(Start({"init", Path("other"), "--data", Path("one.jsonl")})), 3, {"too few"});
  EXPECT_FALSE(fs::exists(Path("other")));
}

}  // namespace
}  // namespace qad

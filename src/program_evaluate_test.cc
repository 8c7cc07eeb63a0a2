// `qad eval` as a program: endpoints, choices, citations.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "base/files.h"
#include "base/json.h"
#include "evaluate/endpoint_testing.h"
#include "program_testing.h"
#include "results/results.h"

namespace qad {
namespace {

// An arm that is asked over HTTP goes the same way as all others; what was answered once is not asked again.
TEST_F(Program, AnEndpointIsAnArm) {
  std::string port;
  {
    const EndpointServer server(
        std::vector<std::string>(40, Reply(200, Event("It is 11") + Event(".", "stop") + kUsageEvent)));
    port = std::to_string(server.port());
    folder_.Write("config.yaml", std::string(kMinimal) +
                                     "arms: [base, {name: served, endpoint: \"http://127.0.0.1:" + port +
                                     "/v1\", model: any, price_per_million_tokens: {prompt: 10, output: 100}}]\n" +
                                     "decide: {required: {facts: 0.1}, changes_per_month: 0}\n");
    const Ended ended = Run({"eval", "--json"});
    ASSERT_EQ(ended.code, 0) << ended.err;
    const Json results = ReadJsonFile(folder_ / "outputs" / "results.json");
    std::map<std::string, double> served;
    for (const Json& row : results["rows"])
      if (row["arm"] == "served")
        served[row["slice"].get<std::string>() + " " + row["metric"].get<std::string>()] = row["value"];
    EXPECT_EQ(served["facts contains"], 0.25) << "matter 1 is 11";
    EXPECT_EQ(served["tokens prompt_tokens"], 12);
    EXPECT_EQ(served["tokens output_tokens"], 2);
    EXPECT_NEAR(served["speed query_price"], (12 * 10 + 2 * 100) / 1e6, 1e-15);
    EXPECT_GT(served["speed latency_p95"], 0);
    EXPECT_FALSE(served.contains("memory peak_rss_bytes"));
    EXPECT_FALSE(served.contains("tokens doubtful_usage") || served.contains("tokens missing_usage"));
    EXPECT_FALSE(served.contains("facts answer_log_likelihood"));
    EXPECT_EQ(results["arms"][1]["remote"], true);
  }
  const Ended again = Run({"eval"});  // nobody is there any more
  EXPECT_EQ(again.code, 0) << again.err;
  const Ended decided = Run({"decide", "--json"});
  ASSERT_EQ(decided.code, 0) << decided.err;
  const Json decision = ParseJson(decided.out, "decision");
  for (const Json& arm : decision["arms"]) {
    if (arm["arm"] != "served") continue;
    EXPECT_EQ(arm["eligible"], "pass") << arm.dump();
    EXPECT_NEAR(arm["costs"]["per_thousand"].get<double>(), 1000 * 320 / 1e6, 1e-12);
  }
  folder_.Write("eval.jsonl", Items(5, "matter"));
  ExpectFailure({"eval"}, 1, {"127.0.0.1:" + port, "is the endpoint up?"});
}

// One that goes away in the middle: what it answered is kept, batch by batch, and not asked again.
TEST_F(Program, AnEndpointThatGoesAwayLosesOneBatchAtMost) {
  folder_.Write("eval.jsonl", Items(20, "matter"));
  const std::string answer = Reply(200, Event("It is 11") + Event(".", "stop") + kUsageEvent);
  uint16_t port = 0;
  {
    EndpointServer server(std::vector<std::string>(1 + 8 + 3, answer));  // the first is RequireThere's
    port = server.port();
    folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base, {name: served, endpoint: \"http://127.0.0.1:" +
                                     std::to_string(port) + "/v1\", model: any}]\n");
    const pid_t child = Start({"eval", "--config", Path("config.yaml")});
    while (server.requests().size() < 12) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    server.Stop();
    ExpectEnd(Wait(child), 1, {"is the endpoint up?"});
  }
  EXPECT_FALSE(fs::exists(folder_ / "outputs/samples/served.jsonl"));
  const EndpointServer server(std::vector<std::string>(60, answer), 0, port);
  const Ended ended = Run({"eval"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(server.requests().size(), 1 + 12 + 10u) << "8 of 20 were answered; speed asks 10 again";
  EXPECT_EQ(ReadSamples(folder_ / "outputs" / "samples" / "served.jsonl").size(), 20u);
}

// An endpoint that always names the old value of the fact that changed and the right one of the other.
TEST_F(Program, WhatWasRightBeforeAnUpdateIsMeasured) {
  const std::string answer = Event("It is 10, or 22") + Event(".", "stop") + kUsageEvent;
  const EndpointServer server(std::vector<std::string>(200, Reply(200, answer)));
  folder_.Write("old/a.md", "# Matters\n\nMatter 1 is 10.\n\n# Things\n\nThing 2 is 22.\n");
  folder_.Write(
      "eval.jsonl",
      "{\"id\": \"c\", \"slice\": \"facts/changed\", \"prompt\": \"What is matter 1?\", \"completion\": \"11\", "
      "\"reject\": [\"10\"], \"source\": \"a.md#Matters\"}\n"
      "{\"id\": \"s\", \"slice\": \"facts/stable\", \"prompt\": \"What is thing 2?\", \"completion\": \"22\", "
      "\"source\": \"a.md#Things\"}\n");
  std::string config = kMinimal;
  config.replace(config.find("max_length"), 0, "documents: [old], documents_update: [pages], ");
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/v1";
  folder_.Write("config.yaml", config + "arms: [base, {name: plain, endpoint: \"" + url +
                                   "\", model: any}, {name: looks, prompting: rag, endpoint: \"" + url +
                                   "\", model: any}]\n");
  const Ended ended = Run({"eval"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Results results = ReadResults(folder_ / "outputs" / "results.json");
  for (const char* arm : {"plain", "looks"}) {
    EXPECT_EQ(results.Value(arm, "facts/changed", "contains"), 0) << arm;
    EXPECT_EQ(results.Value(arm, "facts/changed", "stale"), 1) << arm;
    EXPECT_EQ(results.Value(arm, "facts/changed", kBeforeMetric), 1) << arm;
    EXPECT_EQ(results.Value(arm, "facts/stable", kBeforeMetric), 1) << arm;
  }
  EXPECT_EQ(results.Value("looks", kRetrievalSlice, "right_given_source"), 0.5);
  EXPECT_EQ(results.Value("looks", kRetrievalSlice, "right_given_passage"), 0.5);
  EXPECT_EQ(results.Value("looks", kRetrievalSlice, "stale_given_passage"), 1);
  EXPECT_FALSE(results.Value("plain", kRetrievalSlice, "right_given_source"));
  size_t of_old = 0, of_new = 0, of_both = 0;
  for (const std::string& request : server.requests()) {
    const bool is_old = request.find("Matter 1 is 10.") != std::string::npos,
               is_new = request.find("Matter 1 is 11.") != std::string::npos;
    of_old += is_old ? 1 : 0;
    of_new += is_new ? 1 : 0;
    of_both += is_old && is_new ? 1 : 0;
  }
  EXPECT_EQ(of_both, 0u);
  EXPECT_GE(of_old, 1u) << "the control reads the documents of then";
  EXPECT_GE(of_new, 2u);
}

// What the base's tokenizer counted in its place is said.
TEST_F(Program, AnEndpointWithoutUsageIsCountedAndSaid) {
  const std::string answer = Event("It is 11") + Event(".", "stop");
  const std::string doubtful =
      "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 0, \"completion_tokens\": 0}}\n\n";
  std::vector<std::string> replies(40, Reply(200, answer));
  replies[2] = Reply(200, answer + doubtful);  // the first is RequireThere's
  const EndpointServer server(replies);
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base, {name: served, endpoint: \"http://127.0.0.1:" +
                                   std::to_string(server.port()) + "/v1\", model: any}]\n");
  const Ended ended = Run({"eval"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Results results = ReadResults(folder_ / "outputs" / "results.json");
  const auto value = [&](const char* arm, const char* metric) { return results.Value(arm, kTokensSlice, metric); };
  EXPECT_EQ(value("served", "missing_usage"), 3);
  EXPECT_EQ(value("served", "doubtful_usage"), 1);
  EXPECT_FALSE(value("base", "missing_usage"));
  EXPECT_EQ(value("served", "prompt_tokens"), value("base", "prompt_tokens"));
}

// What it says of tokens and times is shown; without usage the base's tokenizer counts. A conversation shows the pieces
// as they come, those of an answer that breaks off too.
TEST_F(Program, AnEndpointIsAskedAndTalkedWith) {
  const std::string answer = Event("It is 11") + Event(".", "stop");
  const EndpointServer server({Reply(200, answer + kUsageEvent), Reply(200, answer + "data: [DONE]\n\n"),
                               Reply(200, answer + kUsageEvent), Reply(200, Event("It is")), Reply(200, answer)});
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base, {name: served, endpoint: \"http://127.0.0.1:" +
                                   std::to_string(server.port()) + "/v1\", model: any}]\n");
  const auto ask = [&](const char* arm) {
    const Ended ended = Run({"ask", "What is matter 1?", "--arm", arm, "--json"});
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ParseJson(ended.out, "ask");
  };
  const Json given = ask("served"), counted = ask("served"), base = ask("base");
  EXPECT_EQ(given["prompt_tokens"], 12);
  EXPECT_EQ(given["output_tokens"], 2);
  EXPECT_EQ(counted["prompt_tokens"], base["prompt_tokens"]);
  EXPECT_GT(counted["output_tokens"], 2);
  for (const Json& asked : {given, counted}) {
    EXPECT_EQ(asked["answer"], "It is 11.");
    EXPECT_GT(asked["time_to_first_token"], 0);
    EXPECT_LE(asked["time_to_first_token"], asked["seconds"]);
  }
  const Ended plain = Run({"ask", "What is matter 1?", "--arm", "served"});
  EXPECT_EQ(plain.err.find("first token after 0 "), std::string::npos) << plain.err;
  folder_.Write("lines.txt", "What is matter 1?\n");
  const std::string command = std::string(QAD_PROGRAM) + " chat --threads 1 --arm served --config " +
                              Path("config.yaml") + " < " + Path("lines.txt") + " > " + Path("said.txt");
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(FileBytes(Path("said.txt")), "It is\nIt is 11.\n");
}

// Of one prompt's two choices exactly one is the likelier, and it is the one whose reference says so.
TEST_F(Program, TheLikeliestChoiceIsTaken) {
  folder_.Write("eval.jsonl",
                "{\"id\": \"a\", \"prompt\": \"Which?\", \"completion\": \"1\", \"choices\": [\"1\", \"2\"]}\n"
                "{\"id\": \"b\", \"prompt\": \"Which?\", \"completion\": \"2\", \"choices\": [\"1\", \"2\"]}\n");
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base]\n");
  const Ended ended = Run({"eval", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  std::map<std::string, Sample> samples;
  for (const Sample& sample : ReadSamples(folder_ / "outputs" / "samples" / "base.jsonl"))
    samples[sample.item] = sample;
  const auto score = [&](const char* item, const char* metric) { return samples.at(item).scores.at(metric); };
  EXPECT_EQ(score("a", "choice") + score("b", "choice"), 1);
  EXPECT_EQ(score("a", "choice") == 1, score("a", "answer_log_likelihood") > score("b", "answer_log_likelihood"));
  EXPECT_EQ(score("a", "choice"), score("a", "choice_by_byte")) << "both are one byte long";
  EXPECT_EQ(PrimaryMetric(ReadResults(folder_ / "outputs" / "results.json"), "all"), "choice");
}

// Items of one system message go together, however they are mixed; samples keep the file's order.
TEST_F(Program, MixedItemsAreAnsweredAsSortedOnes) {
  folder_.Write("config.yaml", std::string(kMinimal) + "arms: [base]\n");
  const auto line = [](int i) {
    return fmt::format(R"({{"id": "{0}", "system": "Be {1}.", "prompt": "What is {0}?", "completion": "{0}"}})"
                       "\n",
                       i, i % 2 == 0 ? "brief" : "kind");
  };
  const auto answers = [&](const std::vector<int>& order) {
    std::string text;
    for (const int i : order) text += line(i);
    folder_.Write("eval.jsonl", text);
    const Ended ended = Run({"eval", "--json"});
    EXPECT_EQ(ended.code, 0) << ended.err;
    std::map<std::string, std::string> outputs;
    size_t place = 0;
    for (const Sample& sample : ReadSamples(folder_ / "outputs" / "samples" / "base.jsonl")) {
      EXPECT_EQ(sample.item, std::to_string(order[place++]));
      outputs[sample.item] = sample.output;
    }
    return outputs;
  };
  EXPECT_EQ(answers({0, 1, 2, 3, 4, 5}), answers({0, 2, 4, 1, 3, 5}));
}

// Trained, answered and told for every seed; timed and weighed once.
TEST_F(Program, AdaptersAreTrainedWithEverySeed) {
  folder_.Write("config.yaml", std::string(kMinimal) +
                                   "adapters: {lora: {}}\ntrain: {epochs: 1, batch_size: 4}\narms: [base, lora]\n"
                                   "decide: {required: {facts: 0.5}}\n");
  const Ended ended = Run({"run", "--seeds", "2"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Results results = ReadResults(folder_ / "outputs" / "results.json");
  ASSERT_NE(results.Arm("lora (seed 1)"), nullptr);
  EXPECT_EQ(results.Arm("lora (seed 1)")->replica_of, "lora");
  EXPECT_TRUE(results.Value("lora (seed 1)", "facts", "contains"));
  EXPECT_TRUE(results.Value("lora", kSpeedSlice, "latency_p50"));
  EXPECT_FALSE(results.Value("lora (seed 1)", kSpeedSlice, "latency_p50"));
  EXPECT_FALSE(results.Value("lora (seed 1)", kMemorySlice, "peak_rss_bytes"));
  EXPECT_NE(FileBytes(Path("outputs/lora_adapter/adapter_model.safetensors")),
            FileBytes(Path("outputs/lora-seed1_adapter/adapter_model.safetensors")));
  EXPECT_NE(FileBytes(Path("outputs/decision_memo.md")).find("What the training seed moves"), std::string::npos);
  // A setting that an earlier program did not know is no other setting; one with another value is.
  Json older = ReadJsonFile(folder_ / "outputs" / "results.json");
  older["settings"]["adapters"][0].erase("patience");
  WriteFileAtomic(folder_ / "outputs" / "results.json", DumpJson(older));
  EXPECT_EQ(Run({"decide"}).err.find("/adapters/0"), std::string::npos);
  older["settings"]["adapters"][0]["epochs"] = 9;
  WriteFileAtomic(folder_ / "outputs" / "results.json", DumpJson(older));
  EXPECT_NE(Run({"decide"}).err.find("other settings than"), std::string::npos);
  const Ended again = Run({"run", "--seeds", "2"});
  EXPECT_EQ(StagesDone(again.err), std::vector<std::string>{}) << "all of it is there";
}

// QLoRA: bases that have to be made are there before their adapters are trained, whichever arms there are.
TEST_F(Program, AdaptersAreTrainedOnWeightsThatAreMadeFirst) {
  folder_.Write(
      "config.yaml",
      std::string(kMinimal) +
          "adapters: {nested: {base: nf4}, eight: {base: int8}, groups: {base: gptq-4}, file: {base: 'gguf:Q8_0'}}\n"
          "train: {epochs: 4, batch_size: 4, learning_rate: 0.01}\narms: [base, nested]\n");
  const Ended trained = Run({"train", "--json"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  for (const char* name : {"nested", "eight", "groups", "file"})
    EXPECT_TRUE(fs::exists(folder_ / fmt::format("outputs/{}_adapter/adapter_model.safetensors", name))) << name;
  const Json report = ParseJson(trained.out, "train");
  for (const Json& adapter : report["adapters"]) {
    const auto losses = adapter["losses"].get<std::vector<double>>();
    EXPECT_LT(losses.back(), 0.9 * losses.front()) << adapter["name"];
  }
  const Ended evaluated = Run({"eval"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const Results results = ReadResults(folder_ / "outputs" / "results.json");
  EXPECT_TRUE(results.Value("nested", "facts", "contains"));
  EXPECT_LT(*results.Value("nested", kMemorySlice, "weights_bytes"),
            *results.Value("base", kMemorySlice, "weights_bytes"));
  folder_.Write("config.yaml", std::string(kMinimal) + "adapters: {lora: {base: nf5}}\n");
  ExpectFailure({"train"}, 2, {"adapters.lora.base", "nf4"});
}

TEST_F(Program, WhatAnAnswerRestsOnIsCited) {
  const EndpointServer server(
      std::vector<std::string>(40, Reply(200, Event("It is 11") + Event(".", "stop") + kUsageEvent)));
  std::string config = kMinimal;
  config.replace(config.find("max_length"), 0, "documents: [pages], ");
  folder_.Write("config.yaml", config + "arms: [base, {name: served, prompting: rag, endpoint: \"http://127.0.0.1:" +
                                   std::to_string(server.port()) + "/v1\", model: any}]\n");
  folder_.Write(
      "eval.jsonl",
      "{\"id\": \"right\", \"prompt\": \"What is matter 1?\", \"completion\": \"11\", \"source\": \"a.md#Matters\"}\n"
      "{\"id\": \"wrong\", \"prompt\": \"What is matter 1, and thing 2?\", \"completion\": \"22\", "
      "\"source\": \"a.md#Things\"}\n");
  const Ended ended = Run({"eval", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  for (const Sample& sample : ReadSamples(folder_ / "outputs" / "samples" / "served.jsonl")) {
    EXPECT_EQ(sample.citation, "a.md#Matters") << sample.item;
    EXPECT_EQ(sample.scores.at("citation"), sample.item == "right" ? 1 : 0);
  }
  for (const Sample& sample : ReadSamples(folder_ / "outputs" / "samples" / "base.jsonl"))
    EXPECT_TRUE(sample.citation.empty() && !sample.scores.contains("citation")) << "nothing was looked up";
}

}  // namespace
}  // namespace qad

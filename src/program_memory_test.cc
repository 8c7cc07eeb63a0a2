// What the program says of memory, before there is a model and while it runs one: predictions against the process
// itself.
#include <chrono>

#include "base/capped.h"
#include "base/huge_pages.h"
#include "memory/estimate.h"
#include "memory/training_math.h"
#include "memory/weights_math.h"
#include "model/footprint.h"
#include "model/kv_cache.h"
#include "model/source.h"
#include "model/weights.h"
#include "program_testing.h"
#include "results/memory_math.h"
#include "results/results.h"

namespace qad {
namespace {

class ProgramMemory : public Program {};

// A sanitizer keeps memory of its own: peaks are not held against anything there.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPeaksAreOurs = false;
#else
constexpr bool kPeaksAreOurs = true;
#endif

bool Holds(const Json& check) {
  const auto predicted = check["predicted"].get<int64_t>(), measured = check["measured"].get<int64_t>();
  const auto allowed = check["allowed"].get<int64_t>();
  return std::abs(measured - predicted) <= allowed || (allowed > 0 && !kPeaksAreOurs);
}

#ifndef __SANITIZE_ADDRESS__
// Pages of a file are given back as they are repacked: the largest matrix of a model is never there twice.
TEST_F(ProgramMemory, AModelIsNotInMemoryTwiceWhileItIsLoaded) {
  if (fs::space(folder_.path()).available < (uint64_t{1} << 29)) GTEST_SKIP() << "no room for a large model";
  std::string large = kModel;
  for (const auto& [from, to] : {std::pair("\"vocab_size\": 401", "\"vocab_size\": 300000"),
                                 std::pair("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false")})
    large.replace(large.find(from), std::string(from).size(), to);
  WriteModel(folder_ / "large", large.c_str());
  const Ended ended = Wait(Start(
      {"bench", Path("large"), "--prompt", "8", "--generate", "0", "--repetitions", "1", "--no-ceilings", "--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json memory = ParseJson(ended.out, "bench")["memory"];
  const auto bytes = [&](const char* what) { return memory[what].get<int64_t>(); };
  ASSERT_GT(bytes("weights_bytes"), 2 * (70 << 20));  // embedding and head, of 77 MB in the file each
  EXPECT_LE(bytes("peak_rss_bytes") - bytes("weights_bytes") - bytes("kv_bytes"), 64 << 20);
}
#endif

// What people ask before there is a model: presets, what fits, and where.
TEST_F(ProgramMemory, MemoryAnswersOfPresets) {
  Ended ended = Wait(Start({"memory", "--presets"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.out.find("llama-3.1-405b      405,853,388,800"), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("mixture of 8 experts"), std::string::npos);
  ended = Wait(Start({"memory", "--presets", "--json"}));
  const Json presets = ParseJson(ended.out, "presets")["presets"];
  EXPECT_EQ(std::ranges::count_if(presets, [](const Json& preset) { return preset.contains("error"); }), 1);
  EXPECT_EQ(std::ranges::count_if(
                presets, [](const Json& preset) { return preset.value("parameters", 0ull) == 405'853'388'800; }),
            1);
  ended = Wait(Start({"memory", "llama-3.1-8b", "--fit", "24GiB"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.out.find("in 24 GiB, batch 1"), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("gguf:Q4_K_M"), std::string::npos);
  EXPECT_NE(ended.out.find("131,072 all"), std::string::npos);
  ended =
      Wait(Start({"memory", "gemma-3-27b", "--format", "gguf:Q4_K_M", "--machines", "--context", "32768", "--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json math = ParseJson(ended.out, "memory")["math"];
  EXPECT_EQ(math["kv"]["windowed_layers"], 52);
  EXPECT_EQ(math["case_context"], 32768);
  EXPECT_GE(math["machines"].size(), 10u);
  ExpectEnd(Wait(Start({"memory"})), static_cast<int>(ErrorKind::kUsage), {"name a model", "--presets"});
  ExpectEnd(Wait(Start({"memory", "lama-3.1-8b"})), static_cast<int>(ErrorKind::kInput),
            {"did you mean 'llama-3.1-8b'?"});
  ExpectEnd(Wait(Start({"memory", "llama-3.1-8b", "--fit", "24"})), static_cast<int>(ErrorKind::kUsage), {"--fit 24"});
}

TEST_F(ProgramMemory, TheTypeOfTheKvCacheIsTheOneAskedFor) {
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

#ifndef __SANITIZE_ADDRESS__
// Large enough for its parts to be told apart: 21 million parameters, heads that blocks of 32 divide.
constexpr const char* kLlamaOfSize = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "vocab_size": 24000, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 6,
  "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "tie_word_embeddings": true})";
constexpr const char* kGpt2OfSize = R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
  "vocab_size": 24000, "n_embd": 384, "n_layer": 6, "n_head": 6, "n_positions": 2048, "layer_norm_epsilon": 1e-05})";

struct Case {
  std::string format, kv_type = "f16";
  size_t prompt = 100, batch = 1;
};

// Families × formats × contexts × batches × types of the cache, each in a process of its own.
TEST_F(ProgramMemory, WhatIsPlannedIsWhatTheProcessHolds) {
  for (const auto& [name, config] : {std::pair("llama", kLlamaOfSize), std::pair("gpt2", kGpt2OfSize)}) {
    WriteModel(folder_ / name, config);
    std::vector<std::pair<std::string, Case>> cases;
    for (const char* format : {"as-stored", "bf16"})
      for (const size_t prompt : {64, 900})
        for (const size_t batch : {1, 4}) cases.push_back({Path(name), {format, "f16", prompt, batch}});
    cases.push_back({Path(name), {"bf16", "f32", 900, 8}});  // 59 and 133 MB of cache
    for (const char* type : {"f32", "q8_0", "q4_0"}) cases.push_back({Path(name), {"bf16", type, 900, 2}});
    for (const char* method : {"int8", "nf4"}) {
      const std::string folder = Path((std::string(name) + "-" + method).c_str());
      const Ended made = Wait(Start({"quantize", Path(name), "--method", method, "--output", folder}));
      ASSERT_EQ(made.code, 0) << made.err;
      for (const size_t prompt : {64, 900}) cases.push_back({folder, {"as-stored", "f16", prompt, 1}});
    }
    std::vector<double> rests;  // MiB that are not predicted
    for (const auto& [model, asked] : cases) {
      SCOPED_TRACE(fmt::format("{} {} {} {}×{}", model, asked.format, asked.kv_type, asked.batch, asked.prompt));
      const Ended ended =
          Wait(Start({"bench", model, "--format", asked.format, "--kv-type", asked.kv_type, "--prompt",
                      std::to_string(asked.prompt), "--batch", std::to_string(asked.batch), "--generate", "4",
                      "--depth", std::to_string(asked.prompt), "--repetitions", "1", "--no-ceilings", "--json"}));
      ASSERT_EQ(ended.code, 0) << ended.err;
      const Json memory = ParseJson(ended.out, "bench")["memory"];
      const auto bytes = [&](const char* what) { return memory[what].get<uint64_t>(); };
      const Plan plan = PlanOf(OpenModel(model), WeightModeOf(asked.format));
      const FormatId kv = ParseKvType(asked.kv_type, plan.config);
      const size_t context = asked.prompt + 4;
      EXPECT_EQ(bytes("weights_bytes"), plan.weight_bytes());
      EXPECT_EQ(bytes("kv_bytes"), KvBytes(plan.config, context, asked.batch, kv));
      EXPECT_EQ(bytes("workspace_bytes"), InferenceBytes(plan.config, asked.prompt, asked.batch));
      const uint64_t predicted = InferenceParts{.process = bytes("process_bytes"),
                                                .tokenizer = bytes("tokenizer_bytes"),
                                                .weights = plan.weight_bytes(),
                                                .cache = KvBytes(plan.config, context, asked.batch, kv),
                                                .workspace = InferenceBytes(plan.config, asked.prompt, asked.batch)}
                                     .resident();
      const PredictedMeasured peak{"peak RSS", predicted, bytes("peak_rss_bytes"),
                                   AllowedInInference(bytes("peak_rss_bytes"))};
      rests.push_back((static_cast<double>(peak.measured) - static_cast<double>(peak.predicted)) / (1 << 20));
      EXPECT_TRUE(peak.holds()) << peak.predicted << " predicted, " << peak.measured << " measured, " << peak.allowed
                                << " allowed\n"
                                << memory.dump(2);
    }
    // None of the parts hides within what is allowed: what is left over is the same for small and large ones.
    const auto [least, most] = std::ranges::minmax(rests);
    EXPECT_GE(least, 0);
    EXPECT_LE(most - least, 12) << testing::PrintToString(rests);
  }
}

// Trainings of one run, each upon what the process held before it.
TEST_F(ProgramMemory, TrainingTakesWhatIsPlanned) {
  WriteModel(folder_ / "model", kLlamaOfSize);
  folder_.Write("config.yaml", R"(model: model
data: {train: train.jsonl, eval: eval.jsonl, max_length: 128}
train: {epochs: 2, batch_size: 16}
adapters:
  plain: {}
  again: {recompute: true, r: 16}
  exact: {numerics: exact, micro_batch_tokens: 200}
  on-int8: {base: int8}
  on-nf4: {base: nf4}
arms: [plain]
eval: {max_new_tokens: 8, repetitions: 1, bootstrap: 100}
)");
  folder_.Write("train.jsonl", Items(96, "thing"));
  const Ended ended = Run({"train"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Plan plan =
      PlanInScheme(PlanOf(OpenModel(folder_ / "model"), WeightMode::kAsStored).config, *FindScheme("f32"));
  for (const char* name : {"plain", "again", "exact", "on-int8", "on-nf4"}) {
    std::map<std::string, uint64_t> rows;
    const Json stage = ReadJsonFile(folder_ / "outputs/cache" / fmt::format("train--{}.json", name));
    for (const Json& row : stage["rows"])
      if (row["slice"] == std::string(kTrainingSlice)) rows[row["metric"]] = row["value"].get<uint64_t>();
    ASSERT_GT(rows["tape_bytes"], 0u) << name;
    EXPECT_EQ(rows["tape_bytes"], rows["tape_bytes_predicted"]) << name;
    // The calculator's parts, for the pass that there was: the one whose tape is as large, in f32 or bf16 as the CPU
    // has it.
    const bool again = std::string(name) == "again";
    bool equal = false;
    for (const bool bf16 : {false, true}) {
      TrainingQuery query{.r = again ? 16 : 8, .tape = {.recompute = again, .bf16 = bf16}};
      const auto parts_of = [&](uint64_t tokens) {
        query.tokens = tokens;
        std::map<std::string, uint64_t> parts;
        for (const MemoryPart& part : TrainingMemory(plan, "f32", query).parts) parts[part.name] = part.bytes;
        return parts;
      };
      const uint64_t tokens =
          Greatest(1024, [&](uint64_t n) { return parts_of(n)["activations"] <= rows["tape_bytes"]; });
      auto parts = parts_of(tokens);
      parts.erase("frozen base");
      uint64_t sum = 0;
      for (const auto& [part, bytes] : parts) sum += bytes;
      equal = equal || (parts["activations"] == rows["tape_bytes"] && sum == rows["training_bytes"]);
    }
    EXPECT_TRUE(equal) << name;
    const PredictedMeasured peak{"peak RSS", rows["peak_rss_bytes_predicted"], rows["peak_rss_bytes"],
                                 AllowedInTraining(rows["peak_rss_bytes"])};
    EXPECT_TRUE(peak.holds()) << name << ": " << peak.predicted << " predicted, " << peak.measured << " measured, "
                              << peak.allowed << " allowed";
  }
}
#endif

// A smaller run of the whole loop: the page says of every row whether it holds.
TEST_F(ProgramMemory, ThePackHoldsPredictionsAgainstMeasurements) {
  RunWhole();
  const Json math = ReadJsonFile(folder_ / "outputs/memory_math.json");
  EXPECT_EQ(math["machines"][0]["price_per_hour"], 0.1);
  EXPECT_GT(math["machines"][0]["decode_ceiling"].get<double>(), 0);
  EXPECT_GT(math["machines"][0]["prefill_price"].get<double>(), 0);
  EXPECT_EQ(math["training_points"].size(), 3u * 2 * 1 * 2 * 2);  // the model has 256 positions: one length
  EXPECT_EQ(math["training_fits"].size(), 6u);
  size_t peaks = 0, exact = 0;
  for (const Json& check : math["checks"]) {
    const bool peak = check["what"].get<std::string>().ends_with("peak RSS");
    EXPECT_TRUE(Holds(check)) << check;
    (peak ? peaks : exact) += 1;
    if (!peak) {
      EXPECT_EQ(check["predicted"], check["measured"]) << check["what"];
    }
    EXPECT_EQ(check["allowed"].get<uint64_t>() > 0, peak) << check["what"];
  }
  EXPECT_EQ(peaks, 6u);   // five arms and a training
  EXPECT_GE(exact, 17u);  // weights, cache and workspace of each, an adapter, a tape
  const std::string page = FileBytes(folder_ / "outputs/memory_math.md");
  EXPECT_NE(page.find(fmt::format("{0} of {0} allocations are as planned", exact)), std::string::npos);
  if (kPeaksAreOurs) {
    EXPECT_NE(page.find(fmt::format("{0} of {0} peaks", peaks)), std::string::npos);
  }
}

TEST_F(ProgramMemory, AModelsFilesAreMeasured) {
  const Ended ended = Wait(Start({"memory", Path("model"), "--measure", "--context", "200", "--batch", "3", "--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json checks = ParseJson(ended.out, "memory")["math"]["checks"];
  ASSERT_EQ(checks.size(), 4u);
  for (const Json& check : checks) {
    EXPECT_TRUE(Holds(check)) << check;
  }
  ExpectEnd(Wait(Start({"memory", "llama-3.1-8b", "--measure"})), static_cast<int>(ErrorKind::kUsage),
            {"model's files"});
}

// What is in a file's header is enough for arithmetic.
TEST_F(ProgramMemory, AGgufFilesHeaderIsEnough) {
  tiny::WriteGguf(folder_ / "whole.gguf", FormatId::kQ8_0);
  const std::string bytes = FileBytes(folder_ / "whole.gguf");
  folder_.Write("cut.gguf", bytes.substr(0, bytes.size() / 2));
  const Ended whole = Wait(Start({"memory", Path("whole.gguf"), "--json"})),
              cut = Wait(Start({"memory", Path("cut.gguf"), "--json"}));
  ASSERT_EQ(whole.code, 0) << whole.err;
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_NE(cut.err.find("ends before its tensors do"), std::string::npos) << cut.err;
  EXPECT_EQ(ParseJson(cut.out, "cut")["math"]["weights"], ParseJson(whole.out, "whole")["math"]["weights"]);
  ExpectEnd(Wait(Start({"memory", Path("cut.gguf"), "--measure"})), static_cast<int>(ErrorKind::kUsage),
            {"model's files"});
}

// Of the calculator alone: paged caches, a machine of one's own, other trainers, and questions that make no sense.
TEST_F(ProgramMemory, TheCalculatorTakesMachinesCachesAndTrainers) {
  const auto math = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "memory");
    words.emplace_back("--json");
    const Ended ended = Wait(Start(words));
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ParseJson(ended.out, "memory")["math"];
  };
  const Json own = math({"llama-3.1-8b", "--machines", "--bandwidth", "80", "--tflops", "2", "--price-per-hour", "0.36",
                         "--memory", "32GiB", "--context", "4096"})["machines"][0];
  EXPECT_EQ(own["machine"], "yours");
  // 15.5 GB are read for a token; 0.36 an hour is 1e-4 a second.
  EXPECT_NEAR(own["decode_ceiling"].get<double>(), 80e9 / (16'061'054'976.0 - 128'256.0 * 8192 + 4096 * 131'072.0),
              1e-6);
  EXPECT_NEAR(own["decode_price"].get<double>(), 100 / own["decode_ceiling"].get<double>(), 1e-9);
  EXPECT_NEAR(own["prefill_price"].get<double>(), 100 / own["prefill_ceiling"].get<double>(), 1e-9);

  const Json kv = math({"llama-3.1-8b", "--context", "8192", "--sequences", "4", "--tokens-used", "1001",
                        "--shared-prefix", "500"})["kv"];
  std::map<std::string, uint64_t> ways;
  for (const Json& way : kv["allotments"]) ways[way["way"]] = way["bytes"].get<uint64_t>();
  EXPECT_EQ(ways["the tokens alone"], 4u * 1001 * 131'072);
  EXPECT_EQ(ways["contiguous"], 4ull * 8192 * 131'072);
  EXPECT_EQ(ways["paged"], 4u * 1008 * 131'072);                             // 63 blocks of 16
  EXPECT_EQ(ways["paged, prefix shared"], (4u * 1008 - 3 * 496) * 131'072);  // 31 whole blocks

  const Json torch =
      math({"llama-3.2-3b", "--trainer", "torch", "--train", "lora", "--train-tokens", "8192"})["training"];
  EXPECT_EQ(torch[0]["method"], "LoRA in PyTorch");
  const auto refused = [&](std::vector<std::string> words, const std::string& said) {
    words.insert(words.begin(), {"memory", "llama-3.1-8b"});
    ExpectEnd(Wait(Start(words)), static_cast<int>(ErrorKind::kUsage), {said});
  };
  refused({"--context", "100", "--tokens-used", "200"}, "grow to 100 tokens, have 200");
  refused({"--tokens-used", "100", "--shared-prefix", "101"}, "share the first 101");
  refused({"--trainer", "torch"}, "--train");
  refused({"--train", "lora", "--offload"}, "--trainer torch");
  refused({"--train", "lora", "--rank", "8", "16"}, "--train-sequence");
  refused({"--bandwidth", "80"}, "--machines");
  refused({"--trainer", "torch", "--train", "lora", "--offload", "--keep-activations"}, "--keep-activations");
  refused({"--measure", "--context", "128", "256"}, "--measure: one --context");
  refused({"--fit", "24GiB", "--kv-type", "f32"}, "--fit");
  const Json grid = math({"llama-3.2-3b", "--trainer", "torch", "--train", "lora", "--train-sequence", "4096",
                          "--train-batch", "1", "2", "--memory", "40GiB"});
  EXPECT_EQ(grid["training_points"].size(), 4u);
  EXPECT_EQ(grid["training_fits"].size(), 2u);
}

// A question about a preset is answered while one blinks: of several tries the quickest, for machines are busy.
TEST_F(ProgramMemory, PresetsAnswerAtOnce) {
  double best = 1e300;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(Wait(Start({"memory", "llama-3.1-405b", "--fit", "900GiB"})).code, 0);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(best, 0.050);
#else
  EXPECT_LE(best, 5);
#endif
}

}  // namespace
}  // namespace qad

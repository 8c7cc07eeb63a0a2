// What is predicted is what is allocated, and what was published.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"
#include "memory/memory_math.h"
#include "memory/memory_testing.h"
#include "model/footprint.h"
#include "model/tiny_model.h"
#include "model/training.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

class OnDisk : public ::testing::Test {
 protected:
  void ExpectExact(const ModelFiles& files) {
    for (const WeightMode mode : {WeightMode::kAsStored, WeightMode::kF32, WeightMode::kBF16}) {
      const Plan plan = PlanOf(files, mode);
      const WeightsMath math = ResidentWeights(plan, "x");
      const Weights weights(plan, files);
      EXPECT_EQ(math.bytes, weights.allocated_bytes()) << files.path << " mode " << static_cast<int>(mode);
      EXPECT_EQ(SumOf(math.parts), math.bytes);
    }
  }

  TempFolder folder_;
};

TEST_F(OnDisk, ResidentWeightsAreTheBytesAllocated) {
  for (const char* config : {tiny::kLlama, tiny::kGpt2})
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      tiny::WriteFolder(folder_ / "dense", config, dtype);
      ExpectExact(OpenModel(folder_ / "dense"));
    }
  for (const FormatId id : {FormatId::kQ8_0, FormatId::kQ4_0, FormatId::kQ4_1, FormatId::kQ5_0, FormatId::kQ5_1}) {
    tiny::WriteGguf(folder_ / "blocks.gguf", id);
    ExpectExact(OpenModel(folder_ / "blocks.gguf"));
  }
}

TEST_F(OnDisk, StoredWeightsAreTheBytesOfTheFilesTensors) {
  tiny::WriteFolder(folder_ / "dense", tiny::kGpt2, DType::kF16);
  const ModelFiles dense = OpenModel(folder_ / "dense");
  uint64_t bytes = 0;
  for (const auto& [name, entry] : dense.shards.front()->tensors()) bytes += entry.bytes.size();
  const WeightsMath math = StoredWeights(PlanOf(dense, WeightMode::kAsStored), "f16", true);
  EXPECT_EQ(math.bytes, bytes);
  EXPECT_EQ(SumOf(math.parts), bytes);

  tiny::WriteGguf(folder_ / "blocks.gguf", FormatId::kQ4_1);
  const ModelFiles blocks = OpenModel(folder_ / "blocks.gguf");
  bytes = 0;
  for (const GgufTensor& tensor : blocks.gguf->tensors()) bytes += tensor.bytes.size();
  EXPECT_EQ(StoredWeights(PlanOf(blocks, WeightMode::kAsStored), "q4_1", true).bytes, bytes);
  EXPECT_EQ(MainFormat(PlanOf(blocks, WeightMode::kAsStored)), "q4_1");
}

TEST(KvMath, IsTheCachesAllocation) {
  for (const char* json : {tiny::kLlama, tiny::kGpt2}) {
    ModelConfig config = tiny::Config(json);
    config.head_dim = 64;  // blocks of 32 divide it
    for (const FormatId type : {FormatId::kF32, FormatId::kF16, FormatId::kBF16, FormatId::kQ8_0, FormatId::kQ4_0})
      for (const size_t batch : {1, 3})
        EXPECT_EQ(KvBytes(config, 17, batch, type), KvCache(config, batch, 17, type).allocated_bytes());
  }
}

// A model in memory, its adapters attached as adapt/ does.
TEST_F(OnDisk, WorkspaceAndTapeAreTheBytesAllocated) {
  for (const char* json : {tiny::kLlama, tiny::kGpt2}) {
    tiny::WriteFolder(folder_ / "dense", json, DType::kF32);
    const ModelFiles files = OpenModel(folder_ / "dense");
    const Plan plan = PlanOf(files, WeightMode::kF32);
    Transformer model(std::make_shared<const Weights>(plan, files));
    Context context(Numerics::kExact, 1);
    for (const size_t count : {1, 7, 19}) {
      const std::vector<TokenId> tokens(count, 1);
      KvCache cache(plan.config, 1, count, FormatId::kF32);
      const Segment segment{.slot = 0, .start = 0, .tokens = tokens};
      model.Run(context, std::span(&segment, 1), cache);
      EXPECT_EQ(model.workspace_bytes(), WorkspaceBytes(plan.config, count));
    }
    constexpr size_t kRank = 3;
    const TrainingQuery query{.method = TrainingMethod::kLora, .r = kRank, .targets = {"all-linear"}, .tokens = 21};
    const AdapterSize adapter = AdapterOf(plan, query);
    EXPECT_EQ(adapter.modules, model.sites().size());
    std::vector<std::vector<float>> matrices;
    uint64_t parameters = 0;
    for (const AdapterSite& site : model.sites()) {
      LowRank low{.rank = kRank};
      for (const float** matrix : {&low.a, &low.b})
        *matrix = matrices.emplace_back(kRank * (matrix == &low.a ? site.in : site.out), 0.01f).data();
      for (float** gradient : {&low.a_gradient, &low.b_gradient})
        *gradient = matrices.emplace_back(kRank * (gradient == &low.a_gradient ? site.in : site.out), 0.0f).data();
      parameters += kRank * (site.in + site.out);
      model.Attach(site, low);
    }
    EXPECT_EQ(adapter.parameters, parameters);
    TrainingPass pass(model);
    PackedBatch batch{.tokens = std::vector<TokenId>(query.tokens, 2),
                      .labels = std::vector<TokenId>(query.tokens, 3),
                      .lengths = {13, 8}};
    (void)pass.Run(context, batch, {});
    const TrainingMath math = TrainingMemory(plan, "f32", query);
    const auto activations = std::ranges::find(math.parts, "activations", &MemoryPart::name);
    ASSERT_NE(activations, math.parts.end());
    EXPECT_EQ(activations->bytes, pass.allocated_bytes());
    EXPECT_EQ(pass.Bytes(query.tokens), pass.allocated_bytes());
    EXPECT_EQ(SumOf(math.parts), math.bytes);
    for (const TapeSettings& tape :
         {TapeSettings{.recompute = true}, TapeSettings{.bf16 = true}, TapeSettings{.recompute = true, .bf16 = true}}) {
      TrainingPass again(model, tape);
      (void)again.Run(context, batch, {});
      TrainingQuery other = query;
      other.tape = tape;
      const TrainingMath less = TrainingMemory(plan, "f32", other);
      EXPECT_EQ(std::ranges::find(less.parts, "activations", &MemoryPart::name)->bytes, again.allocated_bytes());
      EXPECT_LT(again.allocated_bytes(), pass.allocated_bytes());
    }
  }
}

// Of vLLM's kind: whole blocks of 16; a prefix that all have in common once.
TEST(KvAllotments, PagedIsTheTokensInWholeBlocks) {
  const ModelConfig llama = ConfigOfPreset("llama-3.1-8b");
  constexpr uint64_t kToken = 131'072;
  const auto ways = KvAllotments(llama, {.context = 4096, .batch = 3, .tokens = 33, .prefix = 32}, FormatId::kF16);
  ASSERT_EQ(ways.size(), 4u);
  EXPECT_EQ(ways[0].bytes, 3 * 33 * kToken);
  EXPECT_EQ(ways[1].bytes, 3 * 4096 * kToken);
  EXPECT_EQ(ways[2].bytes, 3 * 48 * kToken);
  EXPECT_EQ(ways[3].bytes, (3 * 48 - 2 * 32) * kToken);
  EXPECT_EQ(KvAllotments(llama, {.context = 64, .batch = 1, .tokens = 33, .prefix = 32}, FormatId::kF16).size(), 3u);
  EXPECT_EQ(KvAllotments(llama, {.context = 64, .batch = 2, .tokens = 33, .prefix = 15}, FormatId::kF16).size(), 3u);
  // Beyond the window nothing of the prefix is left in the layers that have one: 10 of 62 have none.
  const ModelConfig gemma = ConfigOfPreset("gemma-3-27b");
  const auto windowed =
      KvAllotments(gemma, {.context = 8192, .batch = 2, .tokens = 4096, .prefix = 512}, FormatId::kF16);
  ASSERT_EQ(windowed.size(), 4u);
  EXPECT_EQ(windowed[2].bytes - windowed[3].bytes, KvBytes(gemma, 512, 1, FormatId::kF16) / 62 * 10);
  // … and of what is still within it there the rest: of 512 tokens the first 100 have left one of 1,024.
  const auto partly = KvAllotments(gemma, {.context = 8192, .batch = 2, .tokens = 1124, .prefix = 512}, FormatId::kF16);
  const uint64_t of_layer = KvBytes(gemma, 1, 1, FormatId::kF16) / 62;
  EXPECT_EQ(partly[2].bytes - partly[3].bytes, of_layer * (10 * 512 + 52 * 412));
  // Nothing wraps where 64 bits do not hold it.
  for (const KvAllotment& way : KvAllotments(
           llama, {.context = UINT64_MAX / 4, .batch = 1 << 20, .tokens = UINT64_MAX / 4, .prefix = UINT64_MAX / 4},
           FormatId::kF32))
    EXPECT_EQ(way.bytes, UINT64_MAX) << way.way;
  for (const KvCase& wrong :
       {KvCase{.context = 10, .batch = 2, .tokens = 11}, KvCase{.context = 10, .batch = 2, .tokens = 5, .prefix = 6}})
    EXPECT_THROW(KvAllotments(llama, wrong, FormatId::kF16), Error);
}

Json Published() { return ReadJsonFile(fs::path(QAD_TESTDATA) / "memory" / "published.json"); }

// A tied head lies in some files a second time.
ModelConfig ConfigOfFile(const Json& published, const std::string& preset) {
  ModelConfig config = ConfigOfPreset(preset);
  config.tied_head = config.tied_head && !published.value("tied_head_stored", false);
  config.vocab = published.value("vocab", config.vocab);
  return config;
}

TEST(Presets, HaveTheirPublishedParametersAndBytes) {
  const Json published = Published();
  for (const auto& [name, model] : published["models"].items()) {
    const ModelConfig config = ConfigOfFile(model, name);
    const Plan plan = PlanInFormat(config, config.stored_dtype == "bfloat16" ? "bf16" : "f32");
    EXPECT_EQ(plan.parameters(), model["parameters"].get<uint64_t>()) << name;
    if (!model.contains("weights_bytes")) continue;
    EXPECT_EQ(StoredWeights(plan, "x", false).bytes, model["weights_bytes"].get<uint64_t>()) << name;
  }
  for (const Preset& preset : AllPresets()) EXPECT_FALSE(PresetSource(preset).empty()) << preset.name;
}

// What a GGUF file has beside its tensors is its metadata, which are the same in all files of a repository, but for the
// names of their type and their importance matrix: so the bytes of the tensors are exact.
TEST(Presets, GgufFilesHaveTheirPublishedBytes) {
  constexpr int64_t kMostMetadata = 17 << 20, kNames = 2048;
  const Json published = Published();
  for (const Json& repository : published["gguf"]) {
    const auto name = repository["model"].get<std::string>();
    const ModelConfig config = ConfigOfFile(repository, name);
    int64_t least = INT64_MAX, most = 0;
    for (const auto& [type, bytes] : repository["files"].items()) {
      const Plan plan = PlanInFormat(config, "gguf:" + type, repository.value("importance", false));
      const int64_t rest = bytes.get<int64_t>() - static_cast<int64_t>(plan.stored_bytes());
      least = std::min(least, rest);
      most = std::max(most, rest);
      EXPECT_GT(rest, 0) << name << " " << type;
      EXPECT_LT(rest, kMostMetadata) << name << " " << type;
    }
    EXPECT_LE(most - least, kNames) << repository["repository"];
  }
}

TEST(Presets, MixturesOfExpertsAreRefused) {
  const Preset* mixtral = FindPreset("Mixtral-8x7B");
  ASSERT_NE(mixtral, nullptr);
  try {
    PresetConfig(*mixtral);
    FAIL() << "a mixture of experts was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "preset mixtral-8x7b: is a mixture of 8 experts (\"num_local_experts\"); this version knows dense "
                 "models only");
  }
}

TEST(Presets, KvOfLlama31IsAsPublished) {
  const ModelConfig config = ConfigOfPreset("llama-3.1-8b");
  EXPECT_EQ(KvBytes(config, 1, 1, FormatId::kF16), 131'072u);                  // 128 KiB a token
  EXPECT_EQ(KvBytes(config, 1, 1, FormatId::kF16, false), 4 * 131'072u);       // GQA's saving: 32 heads share 8
  EXPECT_EQ(KvBytes(config, 131'072, 1, FormatId::kF16), uint64_t{16} << 30);  // 16 GiB at full context
  EXPECT_EQ(KvBytes(config, 1000, 8, FormatId::kF32), 8 * 1000 * 262'144ull);
  EXPECT_EQ(KvBytes(config, 64, 1, FormatId::kQ8_0), 64 * 131'072ull * 34 / 64);
}

TEST(Presets, SlidingWindowBoundsTheCache) {
  const ModelConfig mistral = ConfigOfPreset("mistral-7b");
  EXPECT_EQ(KvBytes(mistral, 4096, 1, FormatId::kF16), uint64_t{512} << 20);
  EXPECT_EQ(KvBytes(mistral, 32768, 1, FormatId::kF16), uint64_t{512} << 20);
  EXPECT_GT(KvBytes(ConfigOfPreset("qwen2.5-7b"), 32768, 1, FormatId::kF16),
            KvBytes(ConfigOfPreset("qwen2.5-7b"), 4096, 1, FormatId::kF16));
}

// Gemma 2: every second layer has a window of 4,096; Gemma 3: five of six have one, of 1,024 or, in the smallest, 512.
TEST(Presets, GemmasWindowsAreOfSomeLayersOnly) {
  const auto row = [](const ModelConfig& c) { return 2 * 2 * c.kv_heads * c.head_dim; };
  const ModelConfig second = ConfigOfPreset("gemma-2-2b");
  EXPECT_EQ(second.full_layers, 13u);
  EXPECT_EQ(KvBytes(second, 8192, 1, FormatId::kF16), row(second) * 13 * (8192 + 4096));
  const ModelConfig third = ConfigOfPreset("gemma-3-27b");
  EXPECT_EQ(third.full_layers, 10u);  // of 62
  EXPECT_EQ(KvBytes(third, 131'072, 1, FormatId::kF16), row(third) * (10ull * 131'072 + 52ull * 1024));
  EXPECT_EQ(ConfigOfPreset("gemma-3-1b").sliding_window, 512u);
  EXPECT_EQ(ConfigOfPreset("qwen3-8b").sliding_window, 0u);
}

// The snapshot of tiny-gpt2: 0.000191 GB are 205,428 B / 2³⁰; 0.000385 GB are the f32 base and its r=8 adapter.
TEST(Presets, TinyGpt2Snapshot) {
  const Plan plan = PlanInScheme(ConfigOfPreset("tiny-gpt2"), *FindScheme("f32"));
  EXPECT_EQ(StoredWeights(PlanInScheme(plan.config, *FindScheme("fp16")), "fp16", false).bytes, 205'428u);
  const AdapterSize adapter = AdapterOf(plan, {.r = 8, .targets = {"c_attn", "c_proj", "c_fc"}});
  EXPECT_EQ(plan.stored_bytes() + adapter.bytes(), 412'904u);
  EXPECT_EQ(adapter.modules, 8u);  // c_proj names attention's and the mlp's
}

TEST(Kv, AbsurdSizesSaturate) {
  ModelConfig config = ConfigOfPreset("llama-3.1-8b");
  EXPECT_EQ(KvBytes(config, uint64_t{1} << 60, 1, FormatId::kF16), UINT64_MAX);
  EXPECT_EQ(Fit(PlanInScheme(config, *FindScheme("int8")), "int8", FormatId::kF16, uint64_t{1} << 40, uint64_t{1} << 34,
                uint64_t{1} << 33)
                .max_context,
            0);
}

TEST(Schemes, Int8AndInt4CountScales) {
  const ModelConfig config = ConfigOfPreset("smollm2-135m");
  constexpr uint64_t kLinear = 30ull * (576 * 576 * 2 + 192 * 576 * 2 + 3 * 1536 * 576),
                     kRows = 30ull * (576 * 3 + 192 * 2 + 1536 * 2);
  const uint64_t rest = (134'515'008 - kLinear) * 2;
  EXPECT_EQ(StoredWeights(PlanInScheme(config, *FindScheme("int8")), "int8", false).bytes, kLinear + 4 * kRows + rest);
  EXPECT_EQ(StoredWeights(PlanInScheme(config, *FindScheme("int4")), "int4", false).bytes, kLinear / 32 * 20 + rest);
  // Rows of 2 values do not divide into groups of 32: they stay at 16 bits.
  EXPECT_EQ(StoredWeights(PlanInScheme(ConfigOfPreset("tiny-gpt2"), *FindScheme("int4")), "int4", false).bytes,
            205'428u);
}

TEST(Schemes, FormulasCarryTheirNumbers) {
  const WeightsMath math =
      StoredWeights(PlanInScheme(ConfigOfPreset("smollm2-135m"), *FindScheme("int8")), "int8", false);
  EXPECT_EQ(math.formula, "28,346,688 × 2 B + 106,168,320 × 1 B + 155,520 rows × 4 B");
  ASSERT_EQ(math.parts.size(), 5u);
  EXPECT_EQ(math.parts[0].formula, "49,152·576 × 2 B");
  EXPECT_EQ(math.parts[1].formula, "30 × (2·576·576 + 2·192·576) × 1 B + 46,080 rows × 4 B");
  EXPECT_EQ(math.parts[3].formula, "(30 × (2·576) + 576) × 2 B");
  EXPECT_EQ(math.parts[4].bytes, 0u);
}

TEST(Fits, TheLongestContextFitsAndOneMoreDoesNot) {
  const Plan plan = PlanInScheme(ConfigOfPreset("llama-3.1-8b"), *FindScheme("int8"));
  constexpr uint64_t kBudget = uint64_t{16} << 30, kEngine = 30'000'000;
  for (const uint64_t batch : {1, 4}) {
    const FitAnswer answer = Fit(plan, "int8", FormatId::kF16, batch, kBudget, plan.weight_bytes() + kEngine);
    const auto need = [&](uint64_t context) {
      return plan.weight_bytes() + kEngine + KvBytes(plan.config, context, batch, FormatId::kF16) +
             InferenceBytes(plan.config, context, batch);
    };
    const auto context = static_cast<uint64_t>(answer.max_context);
    ASSERT_GT(context, 1000u);
    EXPECT_LE(need(context), kBudget);
    EXPECT_GT(need(context + 1), kBudget);
    EXPECT_FALSE(answer.limited_by_model);
  }
  EXPECT_EQ(Fit(plan, "int8", FormatId::kF16, 1, uint64_t{4} << 30, plan.weight_bytes()).max_context, 0);
  const FitAnswer roomy = Fit(plan, "int8", FormatId::kF16, 1, uint64_t{1} << 40, plan.weight_bytes());
  EXPECT_EQ(roomy.max_context, 131'072);
  const auto sequences = [&](uint64_t budget) {
    return FitSequences(plan, FormatId::kF16, 4096, budget, plan.weight_bytes());
  };
  const auto many = static_cast<uint64_t>(sequences(kBudget));
  const auto of = [&](uint64_t batch) {
    return plan.weight_bytes() + KvBytes(plan.config, 4096, batch, FormatId::kF16) +
           InferenceBytes(plan.config, 4096, batch);
  };
  EXPECT_LE(of(many), kBudget);
  EXPECT_GT(of(many + 1), kBudget);
  EXPECT_EQ(sequences(uint64_t{4} << 30), 0);
  EXPECT_TRUE(roomy.limited_by_model);
}

const Machine& MachineNamed(const std::vector<Machine>& machines, const std::string& name) {
  return *std::ranges::find(machines, name, &Machine::name);
}

// As asked where that fits; then smaller caches, then smaller files.
TEST(Machines, TakeTheNearestThatFits) {
  const std::vector<Machine> machines = AllMachines();
  const Machine &rtx = MachineNamed(machines, "RTX 4090"), &h100 = MachineNamed(machines, "H100 80 GB");
  const Plan plan = PlanInFormat(ConfigOfPreset("llama-3.1-8b"), "bf16");
  const auto on = [&](const Machine& machine, const Plan& weights, uint64_t context) {
    return FitMachine(machine, {.plan = &weights, .format = "bf16", .context = context});
  };
  const MachineFit roomy = on(h100, plan, 131'072);
  EXPECT_EQ(roomy.weights + " " + roomy.kv_type, "bf16 f16");
  EXPECT_TRUE(roomy.limited_by_model);
  const MachineFit small = on(rtx, plan, 65'536);  // 15 GiB of weights leave 9 GiB: 8 GiB of f16 cache fit, 16 do not
  EXPECT_EQ(small.weights + " " + small.kv_type, "bf16 f16");
  const MachineFit smaller = on(rtx, plan, 131'072);
  EXPECT_EQ(smaller.weights + " " + smaller.kv_type, "bf16 q8_0");
  const Plan large = PlanInFormat(ConfigOfPreset("llama-3.3-70b"), "bf16");
  EXPECT_EQ(on(h100, large, 8192).weights, "gguf:Q8_0");
  EXPECT_EQ(on(h100, large, 8192).verdict, "fits as a smaller file");
  EXPECT_EQ(smaller.verdict, "fits with a smaller cache");
  const MachineFit none = on(rtx, large, 8192);  // 24.6 GiB of Q2_K and no cache yet
  EXPECT_EQ(none.verdict, "does not fit");
  EXPECT_EQ(none.max_context, 0);
  EXPECT_EQ(none.decode_ceiling, 0);
  // What would fit is said: with 64 sequences less of a context.
  const MachineFit shorter =
      FitMachine(rtx, {.plan = &plan, .format = "bf16", .kv_type = FormatId::kF16, .context = 131'072, .batch = 64});
  EXPECT_EQ(shorter.verdict, "does not fit");
  EXPECT_GT(shorter.max_context, 1000);
  EXPECT_LT(shorter.max_context, 131'072);
  EXPECT_EQ(shorter.max_batch > 0, shorter.max_context >= 131'072 / 64);
  // Beyond the model's positions memory alone decides.
  const Plan tiny = PlanInFormat(ConfigOfPreset("tinyllama-1.1b"), "bf16");
  EXPECT_EQ(on(h100, tiny, 4096).verdict, "fits");
  // Many sequences are bounded by operations, not by reading: H100's 989 TFLOP/s over blocks and head.
  const MachineFit many =
      FitMachine(h100, {.plan = &plan, .format = "bf16", .kv_type = FormatId::kF16, .context = 16, .batch = 4096});
  EXPECT_NEAR(many.decode_ceiling, h100.flops / (2 * (6'979'321'856.0 + 128'256.0 * 4096)), 1e-3);
  // Reading 15.0 GB of weights (the embedding is no head, and is read a row at a time) and 0.5 GB of cache.
  const double read = static_cast<double>(plan.stored_bytes() - 128'256ull * 4096 * 2) + 4096 * 131'072.0;
  EXPECT_NEAR(on(rtx, plan, 4096).decode_ceiling, 1008e9 / read, 1e-6);
  EXPECT_NEAR(on(rtx, plan, 4096).prefill_ceiling, 165.2e12 / (2 * 6'979'321'856.0), 1e-3);
}

TEST(Machines, TheCacheOutgrowsTheWeights) {
  MemoryQuery query;
  query.budget = uint64_t{24} << 30;
  query.machines = AllMachines();
  const MemoryMath math = MakeMemoryMath(PlanInFormat(ConfigOfPreset("llama-3.1-8b"), "int4"), "int4", false, query);
  EXPECT_EQ(math.machines.size(), AllMachines().size());
  EXPECT_LT(math.kv.bytes_at(math.cache_outgrows_weights - 1), math.weights.back().bytes);
  EXPECT_GE(math.kv.bytes_at(math.cache_outgrows_weights), math.weights.back().bytes);
}

// Pages reckon with the summary of what is computed here.
TEST(Machines, TheSummarysCacheIsTheCache) {
  for (const char* name : {"llama-3.1-8b", "mistral-7b", "gemma-2-2b", "gemma-3-27b"}) {
    const ModelConfig config = ConfigOfPreset(name);
    const MemoryMath math = MakeMemoryMath(PlanInFormat(config, "bf16"), "bf16", false, {});
    for (const int64_t context : {1, 700, 4096, 8192})
      EXPECT_EQ(math.kv.bytes_at(context), KvBytes(config, static_cast<uint64_t>(context), 1, FormatId::kF16)) << name;
  }
}

TEST(Formats, UnknownNamesAreErrorsWithTheNearest) {
  try {
    PlanInFormat(ConfigOfPreset("gpt2"), "Q4_K_N");
    FAIL() << "an unknown format was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'Q4_K_M'?"), std::string::npos) << error.what();
  }
}

TEST(MemoryMathOfAPlan, IsCompleteAndSurvivesJson) {
  const Plan plan = PlanInScheme(ConfigOfPreset("smollm2-135m"), *FindScheme("bf16"));
  MemoryQuery query;
  query.title = "SmolLM2";
  query.budget = uint64_t{16} << 30;
  query.batches = {1, 8};
  query.training = {{}, {.method = TrainingMethod::kQlora}};
  const MemoryMath math = MakeMemoryMath(plan, "bf16", false, query);
  EXPECT_EQ(math.parameters, 134'515'008u);
  EXPECT_EQ(math.fits.size(), 2u * 4);
  EXPECT_EQ(math.fits.front().weights, "bf16");
  EXPECT_EQ(math.weights.size(), 4u);
  EXPECT_EQ(math.kv.bytes_per_token, 23'040u);
  EXPECT_EQ(math.kv.bytes_per_token_without_gqa, 69'120u);
  EXPECT_EQ(math.kv.points.size(), 2u * 5);
  EXPECT_EQ(math.training.size(), 2u);
  EXPECT_EQ(MemoryMathToJson(MemoryMathFromJson(MemoryMathToJson(math), "copy")), MemoryMathToJson(math));
}

}  // namespace
}  // namespace qad

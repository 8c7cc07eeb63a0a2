// Adapters by PEFT itself (testdata/make_format_goldens.py), the way there and back, and what is refused.
#include "io/peft.h"

#include <cmath>

#include "base/json.h"
#include "base/test_files.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

const PeftModule* Find(const PeftAdapter& adapter, const std::string& name) {
  for (const PeftModule& module : adapter.modules)
    if (module.module == name) return &module;
  return nullptr;
}

TEST(Peft, ReadsALlamaAdapter) {
  const PeftAdapter adapter = ReadPeftAdapter(TestData("io/peft-llama"));
  EXPECT_EQ(adapter.config.r, 2);
  EXPECT_EQ(adapter.config.lora_alpha, 6);
  EXPECT_EQ(adapter.config.lora_dropout, 0.05);
  EXPECT_TRUE(adapter.config.use_rslora);
  EXPECT_FALSE(adapter.config.fan_in_fan_out);
  EXPECT_FLOAT_EQ(adapter.config.Scale(), 6 / std::sqrt(2.0f));
  EXPECT_EQ(adapter.config.target_modules.size(), 3u);
  EXPECT_EQ(adapter.modules.size(), 6u);
  const PeftModule* down = Find(adapter, "model.layers.1.mlp.down_proj");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->in, 24u);
  EXPECT_EQ(down->out, 16u);
  EXPECT_EQ(down->a.size(), 2u * 24);
  EXPECT_EQ(down->b.size(), 16u * 2);
  const PeftModule* v = Find(adapter, "model.layers.0.self_attn.v_proj");
  ASSERT_NE(v, nullptr);
  EXPECT_EQ(v->out, 8u);
}

// GPT-2's Conv1D lies transposed, its adapter does not: A is (r, in), B is (out, r).
TEST(Peft, ReadsAGpt2Adapter) {
  const PeftAdapter adapter = ReadPeftAdapter(TestData("io/peft-gpt2"));
  EXPECT_TRUE(adapter.config.fan_in_fan_out);
  EXPECT_EQ(adapter.config.Scale(), 1);
  const PeftModule* attention = Find(adapter, "transformer.h.0.attn.c_attn");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->in, 8u);
  EXPECT_EQ(attention->out, 24u);
  const PeftModule* projection = Find(adapter, "transformer.h.0.mlp.c_proj");
  ASSERT_NE(projection, nullptr);
  EXPECT_EQ(projection->in, 32u);
  EXPECT_EQ(projection->out, 8u);
}

TEST(Peft, WritesTheReferencesWeights) {
  for (const char* name : {"peft-llama", "peft-gpt2"}) {
    const TempFolder folder;
    const PeftAdapter adapter = ReadPeftAdapter(TestData(std::string("io/") + name));
    WritePeftAdapter(folder / "out", adapter);
    EXPECT_EQ(FileBytes(folder / "out/adapter_model.safetensors"),
              FileBytes(TestData(fmt::format("io/{}/adapter_model.safetensors", name))));
    const PeftAdapter back = ReadPeftAdapter(folder / "out");
    EXPECT_EQ(back.config.base_model, adapter.config.base_model);
    EXPECT_EQ(back.config.r, adapter.config.r);
    EXPECT_EQ(back.config.lora_alpha, adapter.config.lora_alpha);
    EXPECT_EQ(back.config.lora_dropout, adapter.config.lora_dropout);
    EXPECT_EQ(back.config.target_modules, adapter.config.target_modules);
    EXPECT_EQ(back.config.use_rslora, adapter.config.use_rslora);
    EXPECT_EQ(back.config.fan_in_fan_out, adapter.config.fan_in_fan_out);
    ASSERT_EQ(back.modules.size(), adapter.modules.size());
    for (size_t i = 0; i < back.modules.size(); ++i) {
      EXPECT_EQ(back.modules[i].module, adapter.modules[i].module);
      EXPECT_EQ(back.modules[i].a, adapter.modules[i].a);
      EXPECT_EQ(back.modules[i].b, adapter.modules[i].b);
    }
  }
}

TEST(Peft, ScaleIsAlphaByRankOrItsRoot) {
  PeftConfig config;
  config.r = 4;
  config.lora_alpha = 8;
  EXPECT_EQ(config.Scale(), 2);
  config.use_rslora = true;
  EXPECT_EQ(config.Scale(), 4);
}

// The reference's folder with one setting changed.
class PeftMalformed : public ::testing::Test {
 protected:
  PeftMalformed() { fs::copy(TestData("io/peft-llama"), folder_ / "a"); }

  ::testing::AssertionResult RefusedWith(const std::string& key, const Json& value,
                                         std::vector<std::string_view> parts) {
    Json json = ReadJsonFile(TestData("io/peft-llama/adapter_config.json"));
    json[key] = value;
    folder_.Write("a/adapter_config.json", json.dump());
    parts.push_back("adapter_config.json");
    return Fails([&] { ReadPeftAdapter(folder_ / "a"); }, ErrorKind::kInput, parts);
  }
  ::testing::AssertionResult RefusedTensors(const std::vector<TensorToWrite>& tensors,
                                            const std::vector<std::string_view>& parts) {
    WriteSafetensors(folder_ / "a/adapter_model.safetensors", tensors);
    return Fails([&] { ReadPeftAdapter(folder_ / "a"); }, ErrorKind::kInput, parts);
  }

  TempFolder folder_;
};

TEST_F(PeftMalformed, SettingsThatAreNotRun) {
  for (const char* key : {"use_dora", "use_qalora", "lora_bias", "some_new_variant"})
    EXPECT_TRUE(RefusedWith(key, true, {key, "does not run"})) << key;
  EXPECT_TRUE(RefusedWith("modules_to_save", {"lm_head"}, {"modules_to_save"}));
  EXPECT_TRUE(RefusedWith("layer_replication", {{0, 1}}, {"layer_replication"}));
  EXPECT_TRUE(RefusedWith("trainable_token_indices", {1}, {"trainable_token_indices"}));
  EXPECT_TRUE(RefusedWith("use_bdlora", {{"nblocks", 2}}, {"use_bdlora"}));
  EXPECT_TRUE(RefusedWith("bias", "all", {"\"bias\" is not \"none\""}));
  EXPECT_TRUE(RefusedWith("bias", true, {"\"bias\" is true"}));
  for (const char* initial : {"pissa", "pissa_niter_4", "olora", "loftq", "corda"})
    EXPECT_TRUE(RefusedWith("init_lora_weights", initial, {"init_lora_weights", initial}));
}

TEST_F(PeftMalformed, WrongValues) {
  EXPECT_TRUE(RefusedWith("peft_type", "IA3", {"peft_type is \"IA3\"", "LORA"}));
  EXPECT_TRUE(RefusedWith("peft_type", nullptr, {"peft_type"}));
  for (const Json& r : {Json(0), Json(-1), Json(2.5), Json("2"), Json(1 << 20)})
    EXPECT_TRUE(RefusedWith("r", r, {"\"r\" is"})) << r;
  EXPECT_TRUE(RefusedWith("lora_alpha", "6", {"\"lora_alpha\" is \"6\""}));
  EXPECT_TRUE(RefusedWith("lora_dropout", 1.5, {"\"lora_dropout\" is 1.5"}));
  EXPECT_TRUE(RefusedWith("target_modules", {{"a", 1}}, {"target_modules"}));
  EXPECT_TRUE(RefusedWith("target_modules", {1}, {"target_modules"}));
  EXPECT_TRUE(RefusedWith("use_rslora", "yes", {"\"use_rslora\" is \"yes\""}));
  EXPECT_TRUE(RefusedWith("rank_pattern", {{"q_proj", "4"}}, {"q_proj"}));
  EXPECT_TRUE(RefusedWith("alpha_pattern", {{"q_proj", -4}}, {"q_proj"}));
}

TEST_F(PeftMalformed, AnotherRankThanTheTensors) {
  Json json = ReadJsonFile(TestData("io/peft-llama/adapter_config.json"));
  json["r"] = 3;
  folder_.Write("a/adapter_config.json", json.dump());
  EXPECT_TRUE(Fails([&] { ReadPeftAdapter(folder_ / "a"); }, ErrorKind::kInput,
                    {"adapter_model.safetensors", "has rank 2", "r = 3"}));
}

TEST_F(PeftMalformed, Tensors) {
  const std::vector<float> ones(8, 1.0f), nan(8, std::nanf(""));
  const auto bytes = std::as_bytes(std::span(ones));
  const std::string module = "base_model.model.m.q_proj";
  const TensorToWrite a{module + ".lora_A.weight", DType::kF32, {2, 4}, bytes},
      b{module + ".lora_B.weight", DType::kF32, {4, 2}, bytes};
  EXPECT_TRUE(RefusedTensors({a}, {"module \"m.q_proj\" has only one of lora_A and lora_B"}));
  EXPECT_TRUE(RefusedTensors({b}, {"has only one of"}));
  EXPECT_TRUE(RefusedTensors({}, {"the adapter is empty"}));
  EXPECT_TRUE(RefusedTensors({a, b, {"base_model.model.m.q_proj.lora_magnitude_vector", DType::kF32, {8}, bytes}},
                             {"lora_magnitude_vector", "none of a LoRA adapter's"}));
  EXPECT_TRUE(RefusedTensors({a, {b.name, DType::kF32, {8}, bytes}}, {"lora_B.weight\" must have two dimensions"}));
  EXPECT_TRUE(RefusedTensors({a, {b.name, DType::kF32, {2, 4}, bytes}}, {"lora_B.weight\" has rank 4"}));
  EXPECT_TRUE(
      RefusedTensors({a, {b.name, DType::kF32, {4, 2}, std::as_bytes(std::span(nan))}}, {"lora_B.weight\" holds NaN"}));
}

TEST_F(PeftMalformed, MissingFiles) {
  fs::remove(folder_ / "a/adapter_model.safetensors");
  EXPECT_TRUE(Fails([&] { ReadPeftAdapter(folder_ / "a"); }, ErrorKind::kInput, {"adapter_model.safetensors"}));
  fs::remove(folder_ / "a/adapter_config.json");
  EXPECT_TRUE(
      Fails([&] { ReadPeftAdapter(folder_ / "a"); }, ErrorKind::kInput, {"adapter_config.json is missing", "PEFT"}));
}

}  // namespace
}  // namespace qad

#include "model/plan.h"

#include <set>

#include "base/error.h"
#include "base/test_files.h"
#include "model/model_testing.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

Plan PlanAs(const Json& config, FormatId format, WeightMode mode = WeightMode::kAsStored) {
  return MakePlan(ParseModelConfig(config, "test"), mode, [&](const TensorSpec& spec) {
    return std::optional(IsNorm(spec.role) || spec.bias ? FormatId::kF32 : format);
  });
}

const Json kSmolLm2 = {{"architectures", {"LlamaForCausalLM"}},
                       {"vocab_size", 49152},
                       {"hidden_size", 576},
                       {"num_hidden_layers", 30},
                       {"num_attention_heads", 9},
                       {"num_key_value_heads", 3},
                       {"intermediate_size", 1536},
                       {"tie_word_embeddings", true}};
const Json kTinyGpt2 = {{"architectures", {"GPT2LMHeadModel"}},
                        {"vocab_size", 50257},
                        {"n_embd", 2},
                        {"n_layer", 2},
                        {"n_head", 2},
                        {"n_positions", 1024}};

TEST(Plan, ParametersAreThePublishedOnes) {
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kBF16).parameters(), 134515008u);
  EXPECT_EQ(PlanAs(kTinyGpt2, FormatId::kF32).parameters(), 102714u);
  Json untied = kSmolLm2;
  untied["tie_word_embeddings"] = false;
  EXPECT_EQ(PlanAs(untied, FormatId::kBF16).parameters(), 134515008u + 49152u * 576u);
  // Llama 3.1 8B and Mistral 7B, as their model cards count them.
  const Json llama = {{"architectures", {"LlamaForCausalLM"}},
                      {"vocab_size", 128256},
                      {"hidden_size", 4096},
                      {"num_hidden_layers", 32},
                      {"num_attention_heads", 32},
                      {"num_key_value_heads", 8},
                      {"intermediate_size", 14336}};
  EXPECT_EQ(PlanAs(llama, FormatId::kBF16).parameters(), 8030261248u);
  Json mistral = llama;
  mistral["architectures"] = {"MistralForCausalLM"};
  mistral["vocab_size"] = 32000;
  EXPECT_EQ(PlanAs(mistral, FormatId::kBF16).parameters(), 7241732096u);
  const Json qwen = {{"architectures", {"Qwen2ForCausalLM"}},
                     {"vocab_size", 152064},
                     {"hidden_size", 3584},
                     {"num_hidden_layers", 28},
                     {"num_attention_heads", 28},
                     {"num_key_value_heads", 4},
                     {"intermediate_size", 18944},
                     {"tie_word_embeddings", false}};
  EXPECT_EQ(PlanAs(qwen, FormatId::kBF16).parameters(), 7615616512u);
  const Json phi = {{"architectures", {"Phi3ForCausalLM"}},
                    {"vocab_size", 32064},
                    {"hidden_size", 3072},
                    {"num_hidden_layers", 32},
                    {"num_attention_heads", 32},
                    {"num_key_value_heads", 32},
                    {"intermediate_size", 8192}};
  EXPECT_EQ(PlanAs(phi, FormatId::kBF16).parameters(), 3821079552u);
}

TEST(Plan, BytesFollowTheFormat) {
  const size_t norms = 61 * 576, matrices = 134515008 - norms;
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kBF16).stored_bytes(), matrices * 2 + norms * 4);
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kQ4_1).stored_bytes(), matrices / 32 * 20 + norms * 4);
  // All widths are multiples of a cache line: nothing is padded. Q4_0's offset, which the file does not hold, is
  // counted.
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kBF16).weight_bytes(), matrices * 2 + norms * 4);
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kQ4_1).weight_bytes(), matrices / 32 * 20 + norms * 4);
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kQ4_0).weight_bytes(), matrices / 32 * 20 + norms * 4);
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kQ8_0).weight_bytes(), matrices / 32 * 36 + norms * 4);
  EXPECT_EQ(PlanAs(kSmolLm2, FormatId::kQ4_1, WeightMode::kBF16).weight_bytes(), matrices * 2 + norms * 4);
}

TEST(Plan, NamesAreUniqueAndCountedByTheFamily) {
  const Plan plan = PlanAs(kTinyGpt2, FormatId::kF32);
  std::set<std::string> names, gguf;
  for (const TensorSpec& spec : plan.tensors) {
    names.insert(spec.name);
    gguf.insert(spec.gguf_name);
  }
  EXPECT_EQ(names.size(), plan.tensors.size());
  EXPECT_EQ(gguf.size(), plan.tensors.size());
  EXPECT_EQ(names.size(), 2u + 2 * 12 + 2);  // embeddings; norms, linears and their biases; final norm
  ASSERT_NE(plan.Find(Role::kDown, 1, true), nullptr);
  EXPECT_EQ(plan.Find(Role::kDown, 1, true)->name, "transformer.h.1.mlp.c_proj.bias");
  EXPECT_EQ(plan.Find(Role::kDown, 1)->rows, 2u);
  EXPECT_EQ(plan.Find(Role::kDown, 1)->cols, 8u);
  EXPECT_EQ(plan.Find(Role::kHead, -1), nullptr) << "tied";
}

TEST(Plan, BytesAreWhatWeightsAllocate) {
  for (const std::string name : {"llama-gqa", "llama-bias", "gpt2", "llama-gqa.gguf"}) {
    for (const WeightMode mode : {WeightMode::kAsStored, WeightMode::kF32, WeightMode::kBF16}) {
      const ModelFiles files = OpenModel(TinyPath(name));
      const Plan plan = PlanOf(files, mode);
      EXPECT_EQ(Weights(plan, files).allocated_bytes(), plan.weight_bytes()) << name;
    }
  }
}

TEST(Plan, MissingTensorAndWrongShapeAreNamed) {
  const ModelFiles files = OpenModel(TinyPath("llama-gqa"));
  const auto message = [&](auto&& change) {
    Plan plan = PlanOf(files, WeightMode::kAsStored);
    change(plan);
    try {
      Weights weights(plan, files);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message([](Plan& p) { p.tensors[3].name = "model.nothing.weight"; }).find("model.nothing.weight"),
            std::string::npos);
  const std::string shape = message([](Plan& p) { p.tensors[0].rows = 97; });
  EXPECT_NE(shape.find("model.embed_tokens.weight"), std::string::npos) << shape;
  EXPECT_NE(shape.find("(96, 32)"), std::string::npos) << shape;
  EXPECT_NE(shape.find("(97, 32)"), std::string::npos) << shape;
}

TEST(Plan, AnAbsurdSizeIsAShapeErrorBeforeAnythingIsAllocated) {
  const TempFolder folder;
  tiny::WriteFolder(folder / "model", tiny::kLlama, DType::kF32);
  Json config = ParseJson(tiny::kLlama, "tiny model");
  config["hidden_size"] = 1 << 20;  // 4 TiB for each of q and o
  WriteFileAtomic(folder / "model/config.json", DumpJson(config));
  const ModelFiles files = OpenModel(folder / "model");
  EXPECT_TRUE(Fails([&] { Weights(PlanOf(files, WeightMode::kAsStored), files); }, ErrorKind::kInput,
                    {"model.embed_tokens.weight", "(70, 64)", "(70, 1048576)"}));
  config = ParseJson(tiny::kLlama, "tiny model");
  config["intermediate_size"] = 1 << 20;  // the first tensors are as they should be
  config["num_hidden_layers"] = 4096;
  WriteFileAtomic(folder / "model/config.json", DumpJson(config));
  EXPECT_TRUE(Fails([&] { Weights(PlanOf(files, WeightMode::kAsStored), files); }, ErrorKind::kInput,
                    {"model.layers.0.mlp.gate_proj.weight"}));
}

}  // namespace
}  // namespace qad

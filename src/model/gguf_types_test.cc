#include "model/gguf_types.h"

#include "base/testing.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

Plan PlanOfSizes(const std::string& hidden, const std::string& intermediate, const std::string& rest) {
  const std::string json =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000, "hidden_size": )" + hidden +
      R"(, "intermediate_size": )" + intermediate + rest + "}";
  return tiny::PlanFor(json.c_str());
}

// SmolLM2-135M: 30 layers, 9 heads to 3, a tied head; only down's rows divide into 256.
Plan SmolLm2() {
  return PlanOfSizes(
      "576", "1536",
      R"(, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": true)");
}

FormatId Of(const Plan& plan, const char* type, Role role, int layer, bool importance = false) {
  const std::vector<FormatId> formats = AssignFormats(*FindGgufFileType(type), plan, importance);
  return formats[static_cast<size_t>(plan.Find(role, layer) - plan.tensors.data())];
}

// As in the files that llama.cpp's quantizer makes of it (llama-cpp-python 0.3.36).
TEST(GgufTypes, OfSmolLm2AreLlamaCpps) {
  const Plan plan = SmolLm2();
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kTokenEmbedding, -1), FormatId::kQ8_0);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kQ, 0), FormatId::kQ5_0);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kV, 0), FormatId::kQ8_0);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kDown, 0), FormatId::kQ6_K);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kDown, 3), FormatId::kQ4_K);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kDown, 5), FormatId::kQ6_K);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kV, 5), FormatId::kQ8_0);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kAttentionNorm, 5), FormatId::kF32);
  EXPECT_EQ(Of(plan, "Q4_0", Role::kTokenEmbedding, -1), FormatId::kQ8_0);
  EXPECT_EQ(Of(plan, "Q4_0", Role::kDown, 0), FormatId::kQ4_0);
  EXPECT_EQ(Of(plan, "Q4_0", Role::kDown, 2, true), FormatId::kQ4_1);
  EXPECT_EQ(Of(plan, "Q4_0", Role::kDown, 3, true), FormatId::kQ4_0);
  EXPECT_EQ(Of(plan, "Q3_K_M", Role::kGate, 0), FormatId::kIQ4_NL);
  EXPECT_EQ(Of(plan, "q2_k", Role::kDown, 29), FormatId::kQ3_K);
}

TEST(GgufTypes, WhereRowsDivide) {
  const Plan plan =
      PlanOfSizes("1024", "2048", R"(, "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 4)");
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kHead, -1), FormatId::kQ6_K);
  EXPECT_EQ(Of(plan, "Q4_K_M", Role::kTokenEmbedding, -1), FormatId::kQ4_K);
  EXPECT_EQ(Of(plan, "Q2_K", Role::kV, 3), FormatId::kQ4_K);
  EXPECT_EQ(Of(plan, "Q2_K", Role::kO, 3), FormatId::kQ3_K);
  EXPECT_EQ(Of(plan, "Q3_K_M", Role::kDown, 0), FormatId::kQ5_K);
  EXPECT_EQ(Of(plan, "Q3_K_M", Role::kDown, 1), FormatId::kQ4_K);
  EXPECT_EQ(Of(plan, "Q3_K_L", Role::kO, 1), FormatId::kQ5_K);
  EXPECT_EQ(Of(plan, "Q4_K_S", Role::kV, 3), FormatId::kQ5_K);
  EXPECT_EQ(Of(plan, "Q4_K_S", Role::kV, 4), FormatId::kQ4_K);
  EXPECT_EQ(Of(plan, "Q5_K_M", Role::kDown, 15), FormatId::kQ6_K);
  EXPECT_EQ(Of(plan, "F16", Role::kDown, 15), FormatId::kF16);
  EXPECT_EQ(FindGgufFileType("Q9_K"), nullptr);
}

TEST(GgufTypes, FallbacksDivideTheRow) {
  EXPECT_EQ(FallbackFor(FormatId::kQ4_K, 512), FormatId::kQ4_K);
  EXPECT_EQ(FallbackFor(FormatId::kQ4_K, 96), FormatId::kQ5_0);
  EXPECT_EQ(FallbackFor(FormatId::kQ5_K, 96), FormatId::kQ5_1);
  EXPECT_EQ(FallbackFor(FormatId::kQ6_K, 96), FormatId::kQ8_0);
  EXPECT_EQ(FallbackFor(FormatId::kQ2_K, 96), FormatId::kIQ4_NL);
  EXPECT_EQ(FallbackFor(FormatId::kQ4_0, 20), FormatId::kF16);
}

}  // namespace
}  // namespace qad

#include "adapt/gguf_adapter.h"

#include "adapt/adapt_testing.h"
#include "base/testing.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"

namespace qad {
namespace {

class GgufAdapter : public ::testing::TestWithParam<const char*> {
 protected:
  Transformer model_ = LoadTransformer(TinyPath(GetParam()));
  const Plan& plan() const { return model_.weights().plan(); }
  TempFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Models, GgufAdapter, ::testing::Values("llama-gqa", "llama-bias", "gpt2"));

TEST_P(GgufAdapter, ComesBackEqual) {
  const LoraAdapter adapter(model_, TinyPath(GetParam()) / "adapter");
  WriteGgufAdapter(folder_ / "a.gguf", adapter, plan(), "base");
  const LoraAdapter back(model_, folder_ / "a.gguf");
  EXPECT_TRUE(std::ranges::equal(back.values(), adapter.values()));
  ASSERT_EQ(back.modules().size(), adapter.modules().size());
  for (size_t i = 0; i < back.modules().size(); ++i) {
    EXPECT_EQ(back.modules()[i].site.module, adapter.modules()[i].site.module);
    EXPECT_EQ(back.modules()[i].scale, adapter.modules()[i].scale);
  }
  EXPECT_EQ(back.config().target_modules, TargetModules(model_.sites(), [&] {
              std::vector<AdapterSite> sites;
              for (const LoraAdapter::Module& module : adapter.modules()) sites.push_back(module.site);
              return sites;
            }()));
}

// alpha / r is all that the file can say of a scale: what is left of it goes into B.
TEST_P(GgufAdapter, KeepsScalesThatAlphaCannotSay) {
  const auto& sites = model_.sites();
  LoraAdapter adapter(model_,
                      {.r = 4,
                       .alpha = 6,
                       .target_modules = {"all-linear"},
                       .rank_pattern = {{sites[0].module, 2}},
                       .alpha_pattern = {{sites[1].module, 5}},
                       .rslora = true},
                      3);
  Random random(7);
  for (float& value : adapter.values()) value = static_cast<float>(random.Uniform() - 0.5);
  WriteGgufAdapter(folder_ / "a.gguf", adapter, plan(), "base");
  const LoraAdapter back(model_, folder_ / "a.gguf");
  ASSERT_EQ(back.modules().size(), adapter.modules().size());
  for (size_t i = 0; i < back.modules().size(); ++i) {
    const LoraAdapter::Module &ours = adapter.modules()[i], &theirs = back.modules()[i];
    ASSERT_EQ(theirs.rank, ours.rank);
    for (size_t k = 0; k < ours.rank * ours.site.out; ++k)
      ASSERT_NEAR(theirs.scale * back.values()[theirs.b + k], ours.scale * adapter.values()[ours.b + k], 1e-6);
    EXPECT_TRUE(std::equal(back.values().begin() + static_cast<std::ptrdiff_t>(theirs.a),
                           back.values().begin() + static_cast<std::ptrdiff_t>(theirs.b),
                           adapter.values().begin() + static_cast<std::ptrdiff_t>(ours.a)));
  }
}

// PEFT takes an alpha of 0; llama.cpp reads it as none.
TEST(GgufAdapterScale, OfZeroStaysZero) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraAdapter adapter(model, {.alpha = 0, .target_modules = {"down_proj"}}, 3);
  const TempFolder folder;
  WriteGgufAdapter(folder / "a.gguf", adapter, model.weights().plan(), "base");
  const LoraAdapter back(model, folder / "a.gguf");
  for (const LoraAdapter::Module& module : back.modules())
    for (size_t i = 0; i < module.rank * module.site.out; ++i) ASSERT_EQ(back.values()[module.b + i], 0.0f);
}

// Rows of q and k lie as llama.cpp's converter puts those of the base.
TEST(GgufAdapterRows, OfQAndKAreInterleaved) {
  const Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  const LoraAdapter adapter(model, TinyPath("llama-gqa") / "adapter");
  const TempFolder folder;
  WriteGgufAdapter(folder / "a.gguf", adapter, model.weights().plan(), "base");
  const GgufFile file(folder / "a.gguf");
  const auto row_of = [&](const char* name, size_t row) {
    const GgufTensor* tensor = file.Find(name);
    const auto* values = reinterpret_cast<const float*>(tensor->bytes.data());
    return values[row * static_cast<size_t>(tensor->shape[1])];
  };
  for (const LoraAdapter::Module& module : adapter.modules()) {
    const size_t head = model.config().head_dim;
    const auto b = [&](size_t row) { return adapter.values()[module.b + row * module.rank]; };
    if (module.site.module == "model.layers.0.self_attn.q_proj") {
      EXPECT_EQ(row_of("blk.0.attn_q.weight.lora_b", 1), b(head / 2));
      EXPECT_EQ(row_of("blk.0.attn_q.weight.lora_b", 2), b(1));
    }
    if (module.site.module == "model.layers.0.self_attn.v_proj") {
      EXPECT_EQ(row_of("blk.0.attn_v.weight.lora_b", 1), b(1));
    }
  }
}

TEST(GgufAdapterErrors, NameTheFileAndWhatIsWrong) {
  const Transformer llama = LoadTransformer(TinyPath("llama-gqa")), gpt2 = LoadTransformer(TinyPath("gpt2"));
  const LoraAdapter adapter(llama, TinyPath("llama-gqa") / "adapter");
  const TempFolder folder;
  const auto path = folder / "a.gguf";
  const auto refuses = [&](const Transformer& model, const std::vector<std::string_view>& parts) {
    return Fails([&] { LoraAdapter(model, path); }, ErrorKind::kInput, parts);
  };
  WriteGgufAdapter(path, adapter, llama.weights().plan(), "base");
  EXPECT_TRUE(refuses(gpt2, {path.string(), "architecture \"llama\"", "\"gpt2\""}));
  const auto write = [&](const char* type, const std::vector<GgufTensorToWrite>& tensors) {
    GgufMetadata metadata;
    metadata.SetString("general.architecture", "llama");
    metadata.SetString("general.type", type);
    metadata.SetString("adapter.type", "lora");
    WriteGguf(path, metadata, tensors);
  };
  const std::vector<float> values(4096, 0.5f), broken(4096, NAN);
  const auto tensor = [](const std::string& name, int64_t rows, int64_t cols, const std::vector<float>& of) {
    return GgufTensorToWrite{name, FormatId::kF32, {rows, cols}, [&of, rows, cols] {
                               return std::as_bytes(std::span(of).first(static_cast<size_t>(rows * cols)));
                             }};
  };
  const auto a = [&](int64_t rank) { return tensor("blk.0.attn_q.weight.lora_a", rank, 32, values); };
  const auto b = [&](int64_t rank) { return tensor("blk.0.attn_q.weight.lora_b", 32, rank, values); };
  write("model", {a(2), b(2)});
  EXPECT_TRUE(refuses(llama, {"is no LoRA adapter", "\"model\""}));
  write("adapter", {a(2)});
  EXPECT_TRUE(refuses(llama, {"only one of lora_a and lora_b"}));
  write("adapter", {a(2), b(3)});
  EXPECT_TRUE(refuses(llama, {"ranks 2 and 3"}));
  write("adapter", {});
  EXPECT_TRUE(refuses(llama, {"empty"}));
  write("adapter",
        {tensor("blk.9.attn_q.weight.lora_a", 2, 32, values), tensor("blk.9.attn_q.weight.lora_b", 32, 2, values)});
  EXPECT_TRUE(refuses(llama, {"\"blk.9.attn_q.weight\"", "no linear layer"}));
  write("adapter", {a(2), tensor("blk.0.attn_q.weight.lora_b", 32, 2, broken)});
  EXPECT_TRUE(refuses(llama, {"NaN or infinity"}));
  write("adapter", {tensor("blk.0.attn_q.weight.lora_a", 2, 16, values), b(2)});
  EXPECT_TRUE(refuses(llama, {"16 inputs", "in the model"}));
}

}  // namespace
}  // namespace qad

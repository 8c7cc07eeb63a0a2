#include "quantize/gguf_model.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "io/gguf_writer.h"
#include "model/load.h"
#include "quantize/importance.h"
#include "quantize/model_testing.h"

namespace qad {
namespace {

class GgufModel : public QuantizedModel {};

TEST_F(GgufModel, OfEveryTypeIsReadAgain) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  Context context(Numerics::kExact, 2);
  const Importance importance = MeasureImportance(OpenModel(folder_ / "model"), calibration_.samples, context, true);
  for (const GgufFileType& type : GgufFileTypes())
    for (const bool weighted : {false, true}) {
      GgufOptions options{.type = &type, .importance = weighted ? &importance : nullptr, .quiet = true, .threads = 2};
      const fs::path path = folder_ / "model.gguf";
      QuantizeGguf(folder_ / "model", path, options);
      const GgufFile file(path);
      EXPECT_EQ(file.Int("general.file_type", 0, 100), type.number);
      EXPECT_LT(Distance(path), GetFormat(type.format).block == 1 ? 1e-3 : 0.2) << type.name;
      EXPECT_TRUE(AllClose(Logits(path), Logits(path, WeightMode::kF32), 2e-5, 2e-5)) << type.name;
    }
  // F32 loses nothing: the permutation of q and k is undone on reading.
  QuantizeGguf(folder_ / "model", folder_ / "f32.gguf", {.type = FindGgufFileType("f32"), .quiet = true});
  EXPECT_TRUE(AllClose(Logits(folder_ / "f32.gguf"), Logits(folder_ / "model"), 0));
  // It is called as its folder is, however that is spelt.
  QuantizeGguf(fs::path(folder_ / "model").string() + "/", folder_ / "named.gguf",
               {.type = FindGgufFileType("f32"), .quiet = true});
  for (const char* name : {"f32.gguf", "named.gguf"})
    EXPECT_EQ(GgufFile(folder_ / name).String("general.name"), "model") << name;
  // And from a GGUF to another.
  QuantizeGguf(folder_ / "f32.gguf", folder_ / "again.gguf", {.type = FindGgufFileType("Q8_0"), .quiet = true});
  QuantizeGguf(folder_ / "model", folder_ / "direct.gguf", {.type = FindGgufFileType("Q8_0"), .quiet = true});
  EXPECT_EQ(Logits(folder_ / "again.gguf"), Logits(folder_ / "direct.gguf"));
}

// Rows of whole super-blocks: the K types themselves, not what takes their place where rows do not divide.
TEST_F(GgufModel, OfEveryKTypeIsReadAgain) {
  constexpr const char* kSuper = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 70,
  "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
  tiny::WriteFolder(folder_ / "model", kSuper, DType::kF32);
  double finer = 0;
  for (const char* type : {"Q6_K", "Q5_K_S", "Q4_K_S", "Q3_K_S", "Q2_K"}) {
    GgufOptions options{.type = FindGgufFileType(type), .quiet = true, .threads = 2};
    const fs::path path = folder_ / "model.gguf";
    QuantizeGguf(folder_ / "model", path, options);
    const GgufFile file(path);
    EXPECT_EQ(file.Find("blk.0.attn_q.weight")->format->id, options.type->format) << type;
    EXPECT_TRUE(AllClose(Logits(path), Logits(path, WeightMode::kF32), 2e-5, 2e-5)) << type;
    const double rounded = Distance(path);
    EXPECT_GT(rounded, 1.5 * finer) << type << " has a bit less";
    finer = rounded;
    options.feedback.calibration = &calibration_;
    EXPECT_LT(QuantizeGguf(folder_ / "model", path, options).changes.at(0), 0.5) << type;
    EXPECT_LT(Distance(path), rounded) << type;
  }
  EXPECT_LT(finer, 0.5);
}

// A folder's text falls into the same words whatever its pre-tokenizer is wrapped in.
TEST_F(GgufModel, ItsTextIsSplitAsTheFolders) {
  constexpr const char* kNamed = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
  for (const char* which : {"gpt2", "smollm"})
    for (const bool wrapped : {false, true}) {
      tiny::WriteFolder(folder_ / "model", kNamed, DType::kF32);
      Json json = ReadJsonFile(TestData(fmt::format("text/bytelevel-{}/tokenizer.json", which)));
      Json& pre = json["pre_tokenizer"];
      if (wrapped && pre["type"] != "Sequence") pre = Json{{"type", "Sequence"}, {"pretokenizers", Json::array({pre})}};
      WriteFileAtomic(folder_ / "model" / "tokenizer.json", DumpJson(json));
      QuantizeGguf(folder_ / "model", folder_ / "out.gguf", {.type = FindGgufFileType("F16"), .quiet = true});
      const std::string text = "In 2026, 12 bikes cost 3450 and 99.";
      EXPECT_EQ(LoadTokenizer(OpenModel(folder_ / "out.gguf")).Encode(text),
                LoadTokenizer(OpenModel(folder_ / "model")).Encode(text))
          << which << wrapped;
    }
}

TEST_F(GgufModel, FeedbackBringsTheOutputsNearer) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  for (const char* type : {"Q4_0", "Q5_1"}) {
    GgufOptions options{.type = FindGgufFileType(type), .quiet = true, .threads = 1};
    QuantizeGguf(folder_ / "model", folder_ / "rounded.gguf", options);
    options.feedback.calibration = &calibration_;
    for (const bool act_order : {false, true}) {
      options.feedback.act_order = act_order;
      QuantizeGguf(folder_ / "model", folder_ / "solved.gguf", options);
      EXPECT_EQ(fs::file_size(folder_ / "solved.gguf") / 64, fs::file_size(folder_ / "rounded.gguf") / 64);
      EXPECT_LT(Distance(folder_ / "solved.gguf"), 0.8 * Distance(folder_ / "rounded.gguf")) << type;
      EXPECT_FALSE(fs::exists(folder_ / "solved.gguf.layers"));
    }
    const std::string alone = ReadTextFile(folder_ / "solved.gguf");
    options.threads = 2;
    QuantizeGguf(folder_ / "model", folder_ / "solved.gguf", options);
    EXPECT_TRUE(ReadTextFile(folder_ / "solved.gguf") == alone) << type;
  }
}

// Layers that an earlier run has solved are taken over, to the same bytes.
TEST_F(GgufModel, GoesOnBehindSolvedLayers) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  GgufOptions options{.type = FindGgufFileType("Q4_1"), .quiet = true, .threads = 2};
  options.feedback.calibration = &calibration_;
  QuantizeGguf(folder_ / "model", folder_ / "whole.gguf", options);
  const ModelFiles files = OpenModel(folder_ / "model");
  const Plan plan = PlanOf(files, WeightMode::kF32);
  const std::vector<FormatId> formats = AssignFormats(*options.type, plan, false);
  {
    LayerStore store(folder_ / "out.gguf", GgufFeedbackKey(files, formats, options.feedback));
    Context context(Numerics::kFast, 2);
    SolveGguf(files, plan, formats, options.feedback, context, store, true);
    EXPECT_EQ(store.done(), 2u);
  }
  fs::remove(folder_ / "out.gguf.layers" / "layer-1.safetensors");
  fs::copy(folder_ / "out.gguf.layers", folder_ / "kept", fs::copy_options::recursive);
  QuantizeGguf(folder_ / "model", folder_ / "out.gguf", options);
  EXPECT_TRUE(ReadTextFile(folder_ / "out.gguf") == ReadTextFile(folder_ / "whole.gguf"));
  // The first layer is what was kept, not solved anew.
  fs::rename(folder_ / "kept", folder_ / "out.gguf.layers");
  ChangeFirst(folder_ / "out.gguf.layers" / "layer-0.safetensors", "model.layers.0.mlp.down_proj.weight",
              std::byte{0x5a});
  QuantizeGguf(folder_ / "model", folder_ / "out.gguf", options);
  EXPECT_EQ(GgufFile(folder_ / "out.gguf").Find("blk.0.ffn_down.weight")->bytes[0], std::byte{0x5a});
}

TEST_F(GgufModel, FilesOfOthersAreNotReplaced) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  tiny::WriteGguf(folder_ / "theirs.gguf", FormatId::kQ8_0);
  const GgufOptions options{.type = FindGgufFileType("Q4_0"), .quiet = true};
  EXPECT_THROW(QuantizeGguf(folder_ / "model", folder_ / "theirs.gguf", options), Error);
  QuantizeGguf(folder_ / "model", folder_ / "ours.gguf", options);
  EXPECT_NO_THROW(QuantizeGguf(folder_ / "model", folder_ / "ours.gguf", options));
  EXPECT_THROW(QuantizeGguf(folder_ / "ours.gguf", folder_ / "ours.gguf", options), Error);
}

TEST_F(GgufModel, ImportanceGoesThroughFiles) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  Context context(Numerics::kExact, 2);
  const Importance importance = MeasureImportance(OpenModel(folder_ / "model"), calibration_.samples, context, true);
  ASSERT_EQ(importance.size(), 2u * 7u);
  EXPECT_EQ(importance.at("blk.1.ffn_down.weight").size(), 128u);
  EXPECT_EQ(importance.at("blk.0.attn_q.weight"), importance.at("blk.0.attn_k.weight"));
  WriteImportance(folder_ / "imatrix.gguf", importance, 300, 32, "texts");
  const Importance read = ReadImportance(folder_ / "imatrix.gguf");
  ASSERT_EQ(read.size(), importance.size());
  for (const auto& [name, values] : importance) EXPECT_TRUE(AllClose(read.at(name), values, 0, 1e-6)) << name;
  // The older kind: entries of name, calls, sums.
  std::string old;
  const auto put = [&](auto value) { old.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  put(int32_t{1});
  put(int32_t{3});
  old += "abc";
  put(int32_t{4});
  put(int32_t{2});
  put(8.0f);
  put(2.0f);
  WriteFileAtomic(folder_ / "imatrix.dat", old);
  EXPECT_EQ(ReadImportance(folder_ / "imatrix.dat").at("abc"), (std::vector<float>{2.0f, 0.5f}));
  for (size_t cut = 0; cut < old.size(); ++cut) {
    WriteFileAtomic(folder_ / "cut.dat", old.substr(0, cut));
    EXPECT_THROW((void)ReadImportance(folder_ / "cut.dat"), Error) << cut;
  }
  const std::vector<float> sums = {8, 2};
  const auto error = [&](std::vector<GgufTensorToWrite> tensors) -> std::string {
    WriteGguf(folder_ / "bad.gguf", {}, tensors);
    try {
      (void)ReadImportance(folder_ / "bad.gguf");
    } catch (const Error& caught) {
      return caught.what();
    }
    return "none";
  };
  const auto tensor = [](const char* name, std::vector<int64_t> shape, const std::vector<float>& values) {
    return GgufTensorToWrite{name, FormatId::kF32, std::move(shape),
                             [&values] { return std::as_bytes(std::span(values)); }};
  };
  const std::vector<float> one = {1}, none = {0}, two = {1, 1}, odd = {1, -2}, nan = {1, NAN};
  EXPECT_EQ(error({tensor("a.in_sum2", {1, 2}, sums), tensor("a.counts", {1, 1}, one)}), "none");
  for (const auto& [tensors, said] : std::vector<std::pair<std::vector<GgufTensorToWrite>, const char*>>{
           {{}, "without importance matrices"},
           {{tensor("a.in_sum2", {1, 2}, sums)}, "\"a.counts\" in F32"},
           {{tensor("a.in_sum2", {1, 2}, sums), tensor("a.counts", {1, 1}, none)}, "averages over 0 rows"},
           {{tensor("a.in_sum2", {1, 2}, sums), tensor("a.counts", {2, 1}, two)}, "for each expert"},
           {{tensor("a.in_sum2", {1, 2}, odd), tensor("a.counts", {1, 1}, one)}, "value 1 is -2"},
           {{tensor("a.in_sum2", {1, 2}, nan), tensor("a.counts", {1, 1}, one)}, "value 1 is nan"}})
    EXPECT_NE(error(tensors).find(said), std::string::npos) << said << ": " << error(tensors);
  // Of another model.
  Importance wrong = importance;
  wrong["blk.0.attn_q.weight"].pop_back();
  const GgufOptions options{.type = FindGgufFileType("Q4_0"), .importance = &wrong, .quiet = true};
  EXPECT_THROW(QuantizeGguf(folder_ / "model", folder_ / "out.gguf", options), Error);
  EXPECT_FALSE(fs::exists(folder_ / "out.gguf"));
}

}  // namespace
}  // namespace qad

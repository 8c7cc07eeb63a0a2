#include "quantize/rtn_int8.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"
#include "base/testing.h"
#include "model/load.h"
#include "model/source.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "quantize/artefact.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

std::vector<float> Row(const ModelFiles& files, const Plan& plan, const TensorSpec& spec, size_t row) {
  std::vector<float> values(spec.cols);
  FindSource(files, plan.config, spec).ReadRow(row, values.data());
  return values;
}

class RtnInt8 : public ::testing::Test {
 protected:
  void SetUp() override { options_.quiet = true; }

  // Every linear row of `output` is what formats/int8 makes of the source's row; everything else is the source's value.
  void ExpectRoundTrip(const fs::path& source, const fs::path& output) {
    const ModelFiles from = OpenModel(source), to = OpenModel(output);
    const Plan original = PlanOf(from, WeightMode::kAsStored), made = PlanOf(to, WeightMode::kAsStored);
    ASSERT_EQ(original.tensors.size(), made.tensors.size());
    const Weights weights(made, to);
    const Format& int8 = GetFormat(FormatId::kInt8);
    for (size_t i = 0; i < made.tensors.size(); ++i) {
      const TensorSpec& spec = made.tensors[i];
      ASSERT_EQ(spec.name, original.tensors[i].name);
      const bool linear = IsBlockMatrix(spec);
      EXPECT_EQ(spec.stored == FormatId::kInt8, linear) << spec.name;
      EXPECT_EQ(spec.layout == Layout::kInt8Row, linear) << spec.name;
      for (size_t row = 0; row < spec.rows; ++row) {
        const std::vector<float> value = Row(from, original, original.tensors[i], row), got = Row(to, made, spec, row);
        std::vector<float> resident(spec.cols), want(spec.cols);
        DecodeRow(weights.view(i), row, resident.data());
        if (linear) {
          std::vector<std::byte> encoded(int8.RowBytes(spec.cols));
          int8.encode_row(value.data(), encoded.data(), spec.cols);
          int8.decode_row(encoded.data(), want.data(), spec.cols);
          EXPECT_EQ(got, want) << spec.name << " row " << row;
        } else {
          // bf16 has 8 significant bits: half a unit in the last place is at most 2⁻⁸ of the value.
          EXPECT_TRUE(AllClose(got, value, 0, 0x1p-8)) << spec.name << " row " << row;
          want = got;
        }
        EXPECT_EQ(resident, want) << spec.name << " row " << row << " in memory";
      }
    }
  }

  TempFolder folder_;
  Int8Options options_;
};

TEST_F(RtnInt8, LlamaFolderRoundTrips) {
  tiny::WriteFolder(folder_ / "model", tiny::kLlama, DType::kBF16);
  const QuantizeReport report = QuantizeInt8(folder_ / "model", folder_ / "int8", options_);
  ExpectRoundTrip(folder_ / "model", folder_ / "int8");
  EXPECT_EQ(report.bytes, fs::file_size(folder_ / "int8" / "model.safetensors"));
  EXPECT_EQ(report.errors.size(), 7u);
  EXPECT_GT(report.peak_rss_bytes, 0u);
  const Json config = ReadJsonFile(folder_ / "int8" / "config.json");
  EXPECT_EQ(config["quantization_config"]["quant_method"], "qad-int8");
  EXPECT_EQ(config["quantization_config"]["granularity"], "channel");
  EXPECT_EQ(config["vocab_size"], 70);
}

// c_attn (12 → 36), c_fc (12 → 20) and c_proj (20 → 12) are stored (in, out) by GPT-2 and (out, in) by the artefact.
TEST_F(RtnInt8, Conv1DIsTurnedRound) {
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    tiny::WriteFolder(folder_ / "model", tiny::kGpt2, dtype);
    QuantizeInt8(folder_ / "model", folder_ / "int8", options_);
    ExpectRoundTrip(folder_ / "model", folder_ / "int8");
    const ModelFiles made = OpenModel(folder_ / "int8");
    EXPECT_EQ(made.Find("transformer.h.0.attn.c_attn.weight")->shape, (std::vector<int64_t>{36, 12}));
    EXPECT_EQ(made.Find("transformer.h.1.mlp.c_proj.weight")->shape, (std::vector<int64_t>{12, 20}));
    // The values are those of the plan, not their transposition.
    const Plan plan = PlanOf(made, WeightMode::kAsStored);
    const TensorSpec* spec = plan.Find(Role::kUp, 1);
    const std::vector<float> row = Row(made, plan, *spec, 17);
    std::vector<float> want(spec->cols);
    for (size_t i = 0; i < want.size(); ++i) want[i] = tiny::Value(*spec, 17, i);
    // Half a step of 0.2/127, and f16's rounding of values below 0.2.
    EXPECT_TRUE(AllClose(row, want, 0.5 * 0.2 / 127 + 0x1p-13));
  }
}

TEST_F(RtnInt8, GgufBecomesAFolderThatStandsAlone) {
  tiny::WriteGguf(folder_ / "model.gguf", FormatId::kQ4_1);
  QuantizeInt8(folder_ / "model.gguf", folder_ / "int8", options_);
  ExpectRoundTrip(folder_ / "model.gguf", folder_ / "int8");  // rows of Q and K are put back in their order
  const ModelFiles from = OpenModel(folder_ / "model.gguf"), to = OpenModel(folder_ / "int8");
  const Tokenizer original = LoadTokenizer(from), made = LoadTokenizer(to);
  for (const char* text : {"abcabab", "AB12CC", ""}) EXPECT_EQ(made.Encode(text), original.Encode(text)) << text;
  for (const char* text : {"abcabab<|im_end|>", "AB12<|im_end|>CC"})
    EXPECT_EQ(made.EncodeWithSpecial(text), original.EncodeWithSpecial(text)) << text;
  EXPECT_EQ(made.vocab_size(), original.vocab_size());
  EXPECT_EQ(made.bos(), original.bos());
  EXPECT_EQ(made.eos(), original.eos());
  EXPECT_EQ(made.add_bos(), original.add_bos());
  EXPECT_EQ(made.chat_template(), original.chat_template());
  const ModelConfig a = ConfigOf(from), b = ConfigOf(to);
  EXPECT_EQ(a.norm_eps, b.norm_eps);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.max_positions, b.max_positions);
  EXPECT_EQ(a.tied_head, b.tied_head);
}

TEST_F(RtnInt8, ConfigurationSurvivesJson) {
  for (const char* json : {tiny::kLlama, tiny::kGpt2}) {
    const ModelConfig config = tiny::Config(json), again = ParseModelConfig(ConfigToJson(config), "again");
    EXPECT_EQ(again.family, config.family);
    EXPECT_EQ(again.intermediate, config.intermediate);
    EXPECT_EQ(again.kv_heads, config.kv_heads);
    EXPECT_EQ(again.norm_eps, config.norm_eps);
    EXPECT_EQ(again.max_positions, config.max_positions);
    EXPECT_EQ(again.attention_bias, config.attention_bias);
  }
}

TEST_F(RtnInt8, PerChannelIsNotWorseThanPerTensor) {
  tiny::WriteFolder(folder_ / "model", tiny::kLlama, DType::kF32);
  const QuantizeReport channel = QuantizeInt8(folder_ / "model", folder_ / "channel", options_);
  options_.per_tensor = true;
  const QuantizeReport tensor = QuantizeInt8(folder_ / "model", folder_ / "tensor", options_);
  ASSERT_EQ(channel.errors.size(), tensor.errors.size());
  for (size_t i = 0; i < channel.errors.size(); ++i) {
    EXPECT_GT(channel.errors[i].nmse, 0);
    EXPECT_LE(channel.errors[i].nmse, tensor.errors[i].nmse) << RoleName(channel.errors[i].role);
    EXPECT_LE(channel.errors[i].max_error, tensor.errors[i].max_error) << RoleName(channel.errors[i].role);
    EXPECT_EQ(channel.errors[i].tensors, 2u);
    // Uniform weights within ±a: the step is a/127, its error's variance step²/12, the weights' variance a²/3.
    EXPECT_NEAR(tensor.errors[i].nmse, 1.0 / (4 * 127 * 127), 0.3 / (4 * 127 * 127))
        << RoleName(channel.errors[i].role);
  }
  const ModelFiles made = OpenModel(folder_ / "tensor");
  const std::vector<float> scales = ToFloats(*made.Find("model.layers.0.mlp.up_proj.weight_scale"));
  EXPECT_EQ(std::ranges::count(scales, scales.front()), 96);
  EXPECT_EQ(ReadJsonFile(folder_ / "tensor" / "config.json")["quantization_config"]["granularity"], "tensor");
}

TEST_F(RtnInt8, EmbeddingsOnRequest) {
  tiny::WriteFolder(folder_ / "model", tiny::kGpt2, DType::kF32);
  options_.embeddings = true;
  QuantizeInt8(folder_ / "model", folder_ / "int8", options_);
  const Plan plan = PlanOf(OpenModel(folder_ / "int8"), WeightMode::kAsStored);
  EXPECT_EQ(plan.Find(Role::kTokenEmbedding, -1)->stored, FormatId::kInt8);
  EXPECT_EQ(plan.Find(Role::kPositionEmbedding, -1)->stored, FormatId::kInt8);
  EXPECT_EQ(plan.Find(Role::kFinalNorm, -1)->stored, FormatId::kF32);
}

TEST_F(RtnInt8, RoundsHalfToEvenAndKeepsZeros) {
  const std::vector<float> values = {0.5f, 1.5f, -2.5f, 127.0f, -127.0f, 200.0f};
  int8_t codes[6];
  RoundToInt8(values, 1.0f, codes);
  EXPECT_EQ(std::vector<int>(codes, codes + 6), (std::vector<int>{0, 2, -2, 127, -127, 127}));
  RoundToInt8(values, 0.0f, codes);
  EXPECT_EQ(codes[3], 0);
}

TEST_F(RtnInt8, RefusesNanAndWhatIsQuantizedAlready) {
  tiny::WriteFolder(folder_ / "model", tiny::kLlama, DType::kF32);
  QuantizeInt8(folder_ / "model", folder_ / "int8", options_);
  EXPECT_THROW(QuantizeInt8(folder_ / "int8", folder_ / "again", options_), Error);
  // A NaN in the middle of one matrix.
  const ModelFiles files = OpenModel(folder_ / "model");
  const SafetensorsEntry& entry = *files.Find("model.layers.1.self_attn.o_proj.weight");
  std::string bytes = ReadTextFile(folder_ / "model" / "model.safetensors");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + entry.offset + 4 * (5 * 64 + 3), &nan, 4);
  fs::create_directories(folder_ / "damaged");
  WriteFileAtomic(folder_ / "damaged" / "model.safetensors", bytes);
  WriteFileAtomic(folder_ / "damaged" / "config.json", tiny::kLlama);
  try {
    QuantizeInt8(folder_ / "damaged", folder_ / "int8", options_);
    FAIL() << "NaN was quantized";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_NE(std::string(error.what()).find("o_proj.weight\": row 5"), std::string::npos) << error.what();
  }
  ExpectRoundTrip(folder_ / "model", folder_ / "int8");  // what stood there stays
}

TEST_F(RtnInt8, NeverReplacesWhatQadDidNotWrite) {
  tiny::WriteFolder(folder_ / "model", tiny::kLlama, DType::kF32);
  tiny::WriteFolder(folder_ / "other", tiny::kLlama, DType::kF32);
  WriteFileAtomic(folder_ / "file", "x");
  fs::create_directories(folder_ / "empty");
  for (const char* output : {"model", "other", "file"})
    EXPECT_THROW(QuantizeInt8(folder_ / "model", folder_ / output, options_), Error) << output;
  EXPECT_THROW(QuantizeInt8(folder_ / "model", "", options_), Error);
  QuantizeInt8(folder_ / "model", folder_ / "empty", options_);
  options_.per_tensor = true;
  QuantizeInt8(folder_ / "model", folder_ / "empty", options_);
  EXPECT_EQ(ReadJsonFile(folder_ / "empty" / "config.json")["quantization_config"]["granularity"], "tensor");
}

}  // namespace
}  // namespace qad

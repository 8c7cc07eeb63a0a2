// What no method may do, whatever it is given: write numbers that are none, make something of what is nothing, or leave
// half an artefact behind.
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/test_files.h"
#include "io/safetensors.h"
#include "quantize/auto_model.h"
#include "quantize/gguf_model.h"
#include "quantize/group_model.h"
#include "quantize/importance.h"
#include "quantize/model_testing.h"
#include "quantize/nf4_model.h"
#include "quantize/rtn_int8.h"

namespace qad {
namespace {

constexpr const char* kOutput = "model.layers.1.self_attn.o_proj.weight";

class EveryMethod : public QuantizedModel {
 protected:
  struct Method {
    std::string name;
    bool is_file;  // a GGUF file, not a folder
    std::function<void(const fs::path& source, const fs::path& output)> run;
  };

  Method Groups(std::string name, GroupMethod method, Packing packing) {
    GroupModelOptions options{
        .method = method, .packing = packing, .groups = {.group_size = 32}, .quiet = true, .threads = 1};
    if (packing == Packing::kAwq) options.groups.symmetric = false;
    return {std::move(name), false, [this, options](const fs::path& source, const fs::path& output) {
              QuantizeGroups(source, output, calibration_, options);
            }};
  }
  Method Gguf(const char* type, bool feedback) {
    return {std::string(type) + (feedback ? " with feedback" : ""), true,
            [this, type, feedback](const fs::path& source, const fs::path& output) {
              GgufOptions options{.type = FindGgufFileType(type), .quiet = true, .threads = 1};
              if (feedback) options.feedback.calibration = &calibration_;
              QuantizeGguf(source, output, options);
            }};
  }
  // One thread: that of a parent does not exist in its child.
  std::vector<Method> Methods() {
    return {
        {"int8", false,
         [](const fs::path& source, const fs::path& output) {
           QuantizeInt8(source, output, {.quiet = true, .threads = 1});
         }},
        {"nf4", false,
         [](const fs::path& source, const fs::path& output) {
           QuantizeNf4(source, output, {.quiet = true, .threads = 1});
         }},
        Groups("rtn", GroupMethod::kRtn, Packing::kGptq),
        Groups("gptq", GroupMethod::kGptq, Packing::kGptq),
        Groups("gptq, compressed-tensors", GroupMethod::kGptq, Packing::kCompressed),
        Groups("awq", GroupMethod::kAwq, Packing::kAwq),
        Groups("awq, then gptq", GroupMethod::kAwqGptq, Packing::kGptq),
        Gguf("Q4_0", false),
        Gguf("Q5_1", true),
        {"auto", true,
         [this](const fs::path& source, const fs::path& output) {
           QuantizeAuto(source, output, calibration_,
                        {.budget = 60000, .judge = [](const fs::path&) { return 0.0; }, .quiet = true, .threads = 1});
         }},
    };
  }

  // The model with what `edit` makes of some tensors' values.
  using Edit = std::function<void(const std::string& name, std::vector<float>& values, size_t cols)>;
  void EditModel(const fs::path& folder, const Edit& edit) {
    const SafetensorsFile whole(folder / "model.safetensors");
    std::vector<std::vector<std::byte>> bytes;
    std::vector<TensorToWrite> tensors;
    bytes.reserve(whole.tensors().size());
    for (const auto& [name, entry] : whole.tensors()) {
      std::vector<float> values = ToFloats(entry);
      edit(name, values, static_cast<size_t>(entry.shape.back()));
      bytes.push_back(tiny::Encode(values, DType::kF32));
      tensors.push_back({name, DType::kF32, entry.shape, bytes.back()});
    }
    WriteSafetensors(folder / "model.safetensors", tensors);
  }

  static std::string BytesOf(const fs::path& output, bool is_file) {
    return ReadTextFile(is_file ? output : output / "model.safetensors");
  }
};

TEST_F(EveryMethod, RefusesWeightsThatAreNoNumbers) {
  const float no_number = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  // A matrix, embeddings (of which texts use few), and vectors in a block and behind all of them.
  for (const char* of :
       {kOutput, "model.embed_tokens.weight", "model.layers.1.input_layernorm.weight", "model.norm.weight"})
    for (const float bad : {no_number, infinite}) {
      tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
      EditModel(folder_ / "model", [&](const std::string& name, std::vector<float>& values, size_t) {
        if (name == of) values[values.size() - 3] = bad;
      });
      for (const Method& method : Methods()) {
        const fs::path output = folder_ / "out";
        EXPECT_TRUE(Fails([&] { method.run(folder_ / "model", output); }, ErrorKind::kNumeric, {of}))
            << method.name << " " << of << " " << bad;
        EXPECT_FALSE(fs::exists(output)) << method.name;
        fs::remove_all(output);
        fs::remove_all(folder_ / "out.layers");
      }
    }
}

// Weights that are numbers, and inputs that are none.
TEST_F(EveryMethod, RefusesInputsThatAreNoNumbers) {
  constexpr const char* kGain = "model.layers.1.input_layernorm.weight";
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  EditModel(folder_ / "model", [&](const std::string& name, std::vector<float>& values, size_t) {
    if (name == kGain) std::ranges::fill(values, 3e30f);
  });
  for (const Method& method : Methods()) {
    if (method.name != "auto" && method.name.find("gptq") == std::string::npos &&
        method.name.find("awq") == std::string::npos && method.name.find("feedback") == std::string::npos)
      continue;
    const fs::path output = folder_ / "out";
    EXPECT_TRUE(Fails([&] { method.run(folder_ / "model", output); }, ErrorKind::kNumeric, {"calibration texts"}))
        << method.name;
    EXPECT_FALSE(fs::exists(output)) << method.name;
    fs::remove_all(folder_ / "out.layers");
  }
  Context context(Numerics::kFast, 1);
  EXPECT_TRUE(Fails([&] { (void)MeasureImportance(OpenModel(folder_ / "model"), calibration_.samples, context, true); },
                    ErrorKind::kNumeric, {"layers.1", "calibration texts"}));
}

// A channel that is never there, an output that nothing leads to, a matrix of zeros: they stay what they are, and what
// is beside them is as good as ever.
TEST_F(EveryMethod, KeepsDeadChannelsDead) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  EditModel(folder_ / "model", [&](const std::string& name, std::vector<float>& values, size_t cols) {
    if (name == "model.layers.0.input_layernorm.weight") values[7] = 0;  // an input of q, k and v
    if (name == "model.layers.0.mlp.up_proj.weight")
      std::fill_n(values.begin() + static_cast<ptrdiff_t>(9 * cols), cols, 0.0f);
    if (name == kOutput) std::ranges::fill(values, 0.0f);
  });
  for (const Method& method : Methods()) {
    const fs::path output = folder_ / (method.is_file ? "out.gguf" : "out");
    method.run(folder_ / "model", output);
    // 4-bit codes of these weights leave 0.1 at most (the tests of each method); NaN is no distance.
    EXPECT_LT(Distance(output), 0.1) << method.name;
    const ModelFiles files = OpenModel(output);
    const Plan plan = PlanOf(files, WeightMode::kAsStored);
    const Weights weights(plan, files);
    std::vector<float> row(64);
    for (size_t r = 0; r < 64; ++r) {
      DecodeRow(weights.Matrix(Role::kO, 1), r, row.data());
      for (const float value : row) ASSERT_EQ(value, 0.0f) << method.name;
    }
    DecodeRow(weights.Matrix(Role::kUp, 0), 9, row.data());
    for (const float value : row) ASSERT_EQ(value, 0.0f) << method.name;
    fs::remove_all(output);
  }
}

TEST_F(EveryMethod, AFullDiskLeavesTheOldArtefact) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  tiny::WriteFolder(folder_ / "changed", kWide, DType::kF32);
  EditModel(folder_ / "changed", [](const std::string&, std::vector<float>& values, size_t) { values[0] += 0.25f; });
  for (const Method& method : Methods()) {
    const fs::path output = folder_ / (method.is_file ? "out.gguf" : "out");
    method.run(folder_ / "model", output);
    const std::string before = BytesOf(output, method.is_file);
    const int code = WithFileSizeLimit(before.size() * 3 / 4, [&] { method.run(folder_ / "changed", output); });
    EXPECT_EQ(code, static_cast<int>(ErrorKind::kFailed)) << method.name;
    EXPECT_TRUE(BytesOf(output, method.is_file) == before) << method.name;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename();
      // Finished layers are kept for the next try.
      EXPECT_TRUE(name == "model" || name == "changed" || name == output.filename() || name.ends_with(".layers"))
          << method.name << " leaves " << name;
    }
    method.run(folder_ / "changed", output);
    EXPECT_FALSE(BytesOf(output, method.is_file) == before) << method.name;
    fs::remove_all(output);
  }
}

}  // namespace
}  // namespace qad

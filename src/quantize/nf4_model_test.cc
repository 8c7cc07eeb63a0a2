#include "quantize/nf4_model.h"

#include "base/error.h"
#include "io/safetensors.h"
#include "kernels/matrix.h"
#include "model/source.h"
#include "quantize/model_testing.h"

namespace qad {
namespace {

class Nf4Model : public QuantizedModel {};

TEST_F(Nf4Model, IsReadAgainInItsOwnLayout) {
  for (const char* config : {kWide, kWideGpt2}) {
    tiny::WriteFolder(folder_ / "model", config, DType::kF32);
    for (const bool nested : {true, false}) {
      const QuantizeReport report =
          QuantizeNf4(folder_ / "model", folder_ / "out", {.double_quantization = nested, .quiet = true, .threads = 2});
      for (const RoleError& error : report.errors) EXPECT_LT(error.nmse, 0.012) << RoleName(error.role);
      const ModelFiles files = OpenModel(folder_ / "out");
      const Plan plan = PlanOf(files, WeightMode::kAsStored);
      const Weights weights(plan, files);
      EXPECT_EQ(weights.allocated_bytes(), plan.weight_bytes());
      for (const TensorSpec& spec : plan.tensors) {
        if (!IsBlockMatrix(spec)) continue;
        EXPECT_EQ(spec.layout, Layout::kNf4) << spec.name;
        const TensorSource source = FindSource(files, plan.config, spec);
        std::vector<float> row(spec.cols), got(spec.cols);
        for (size_t r = 0; r < spec.rows; ++r) {
          source.ReadRow(r, row.data());
          DecodeRow(weights.Matrix(spec.role, spec.layer), r, got.data());
          ASSERT_EQ(got, row) << spec.name;
        }
      }
      EXPECT_LT(Distance(folder_ / "out"), 0.1);
      EXPECT_TRUE(AllClose(Logits(folder_ / "out"), Logits(folder_ / "out", WeightMode::kF32), 2e-5, 2e-5));
    }
  }
}

TEST_F(Nf4Model, RowsThatBlocksDoNotDivideAreNamed) {
  std::string narrow = kWide;
  narrow.replace(narrow.find("\"intermediate_size\": 128"), 24, "\"intermediate_size\": 96");
  tiny::WriteFolder(folder_ / "model", narrow.c_str(), DType::kF32);
  try {
    QuantizeNf4(folder_ / "model", folder_ / "out", {.quiet = true});
    ADD_FAILURE() << "was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(std::string(error.what()).find("layers.0.mlp.down_proj.weight\" has 96 inputs"), std::string::npos)
        << error.what();
  }
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Nf4Model, MalformedTensorsAreRefused) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  QuantizeNf4(folder_ / "model", folder_ / "out", {.quiet = true});
  const SafetensorsFile whole(folder_ / "out" / "model.safetensors");
  const std::string base = "model.layers.0.self_attn.q_proj.weight";
  const auto refused = [&](const std::string& part, const std::string& bytes, const char* said) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, entry] : whole.tensors()) {
      if (name != base + part) {
        tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
      } else if (!bytes.empty()) {
        const auto size = static_cast<int64_t>(bytes.size() / DTypeBytes(entry.dtype));
        tensors.push_back({name, entry.dtype, {size}, std::as_bytes(std::span(bytes))});
      }
    }
    fs::create_directories(folder_ / "bad");
    fs::copy_file(folder_ / "out" / "config.json", folder_ / "bad" / "config.json",
                  fs::copy_options::overwrite_existing);
    WriteSafetensors(folder_ / "bad" / "model.safetensors", tensors);
    try {
      (void)PlanOf(OpenModel(folder_ / "bad"), WeightMode::kAsStored);
      ADD_FAILURE() << part << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
    }
  };
  refused(".absmax", "", "absmax");
  refused(".absmax", std::string(3, '\1'), "absmax");
  refused(".quant_map", std::string(64, '\0'), "quant_map");
  refused(".nested_absmax", "", "nested_absmax");
  refused(".nested_quant_map", std::string(16, '\0'), "nested_quant_map");
  refused(".quant_state.bitsandbytes__nf4", "{\"blocksize\": 64, \"shape\": [1, 2]}", "shape");
  refused(".quant_state.bitsandbytes__nf4", "{", "quant_state");
  refused(".quant_state.bitsandbytes__nf4", "{\"blocksize\": 0, \"shape\": [64, 64]}", "blocksize");
  refused("", std::string(10, '\0'), "weight");
}

}  // namespace
}  // namespace qad

#include "quantize/merged_model.h"

#include <deque>

#include "base/error.h"
#include "model/source.h"
#include "quantize/model_testing.h"

namespace qad {
namespace {

class MergedModel : public QuantizedModel {
 protected:
  // An update of this block matrix, and of one more of another shape.
  std::vector<LowRankUpdate> Updates(const Plan& plan) {
    std::vector<LowRankUpdate> updates;
    Random random(3);
    for (const TensorSpec& spec : plan.tensors) {
      if (!IsBlockMatrix(spec) || spec.layer != 1) continue;
      LowRankUpdate& update = updates.emplace_back();
      update.module = spec.name.substr(0, spec.name.rfind('.'));
      update.in = spec.cols;
      update.out = spec.rows;
      update.rank = 2 + updates.size();
      update.scale = 0.5f;
      for (auto [span, size] :
           {std::pair(&update.a, update.rank * update.in), std::pair(&update.b, update.rank * update.out)}) {
        std::vector<float>& values = values_.emplace_back(size);
        for (float& value : values) value = static_cast<float>(random.Uniform() - 0.5);
        *span = values;
      }
    }
    return updates;
  }
  std::deque<std::vector<float>> values_;
};

// Rows of block matrices of the second layer are W + s·B A, everything else is what it was, in both families.
TEST_F(MergedModel, HoldsTheSum) {
  for (const char* config : {kWide, kWideGpt2}) {
    tiny::WriteFolder(folder_ / "model", config, DType::kF32);
    const ModelFiles files = OpenModel(folder_ / "model");
    const Plan plan = PlanOf(files, WeightMode::kAsStored);
    const std::vector<LowRankUpdate> updates = Updates(plan);
    ASSERT_GE(updates.size(), 4u);
    std::error_code ignored;
    fs::remove_all(folder_ / "out", ignored);
    MergeAdapter(folder_ / "model", updates, folder_ / "out", {.type = DType::kF32, .quiet = true});
    const ModelFiles merged = OpenModel(folder_ / "out");
    for (const TensorSpec& spec : plan.tensors) {
      const TensorSource before = FindSource(files, plan.config, spec), after = FindSource(merged, plan.config, spec);
      const auto update = std::ranges::find(updates, spec.name.substr(0, spec.name.rfind('.')), &LowRankUpdate::module);
      const bool changed = update != updates.end() && !spec.bias;
      std::vector<float> want(spec.cols), got(spec.cols);
      for (size_t row = 0; row < spec.rows; ++row) {
        before.ReadRow(row, want.data());
        after.ReadRow(row, got.data());
        for (size_t i = 0; changed && i < spec.cols; ++i) {
          double sum = 0;
          for (size_t k = 0; k < update->rank; ++k)
            sum += static_cast<double>(update->b[row * update->rank + k] * update->a[k * update->in + i]);
          want[i] += static_cast<float>(0.5 * sum);
        }
        if (changed)
          ASSERT_TRUE(AllClose(got, want, 1e-6)) << spec.name;
        else
          ASSERT_EQ(got, want) << spec.name;
      }
    }
    // And out again: a rounding or two of f32 is left.
    MergeAdapter(folder_ / "out", updates, folder_ / "back", {.type = DType::kF32, .subtract = true, .quiet = true});
    EXPECT_TRUE(AllClose(Logits(folder_ / "back"), Logits(folder_ / "model"), 2e-4));
    fs::remove_all(folder_ / "back");
  }
}

TEST_F(MergedModel, TakesAQuantizedBaseAndOtherTypes) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  const std::vector<LowRankUpdate> updates = Updates(PlanOf(OpenModel(folder_ / "model"), WeightMode::kAsStored));
  MergeAdapter(folder_ / "model", updates, folder_ / "f32", {.type = DType::kF32, .quiet = true});
  for (const DType type : {DType::kBF16, DType::kF16}) {
    const fs::path place = folder_ / fmt::format("merged{}", static_cast<int>(type));
    const QuantizeReport report = MergeAdapter(folder_ / "model", updates, place, {.type = type, .quiet = true});
    for (const RoleError& error : report.errors) EXPECT_LT(error.nmse, 1e-5);
    EXPECT_TRUE(AllClose(Logits(place, WeightMode::kF32), Logits(folder_ / "f32"), 0.1, 0.1));
  }
}

TEST_F(MergedModel, WhatDoesNotFitIsRefusedAndNothingIsWritten) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  std::vector<LowRankUpdate> updates = Updates(PlanOf(OpenModel(folder_ / "model"), WeightMode::kAsStored));
  const auto merge = [&] { MergeAdapter(folder_ / "model", updates, folder_ / "out", {.quiet = true}); };
  const std::string module = updates[0].module;
  updates[0].module = "model.layers.7.mlp.down_proj";
  EXPECT_TRUE(Fails(merge, ErrorKind::kInput, {"no linear layer \"model.layers.7.mlp.down_proj\""}));
  updates[0].module = module;
  updates[0].in = 7;
  EXPECT_TRUE(Fails(merge, ErrorKind::kInput, {module, "7 ×"}));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  updates[0].in = PlanOf(OpenModel(folder_ / "model"), WeightMode::kAsStored).config.hidden;
  folder_.Write("out/notes.txt", "mine");
  EXPECT_TRUE(Fails(merge, ErrorKind::kUsage, {"no model that qad made"}));
  fs::remove_all(folder_ / "out");
  merge();
  EXPECT_NO_THROW(merge()) << "what qad made it may make again";
}

}  // namespace
}  // namespace qad

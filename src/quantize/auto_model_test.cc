#include "quantize/auto_model.h"

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "io/gguf.h"
#include "kernels/elementwise.h"
#include "quantize/block_walk.h"
#include "quantize/gptq.h"
#include "quantize/model_testing.h"
#include "quantize/statistics.h"

namespace qad {
namespace {

class AutoModel : public QuantizedModel {
 protected:
  // Mean KL divergence of a file from the model on the samples, in exact mode.
  double Kl(const fs::path& path) const {
    const std::vector<float> of_model = Logits(folder_ / "model"), of_file = Logits(path);
    const size_t vocab = ConfigOf(OpenModel(path)).vocab, rows = of_model.size() / vocab;
    double sum = 0;
    for (size_t r = 0; r < rows; ++r)
      sum += KlDivergence(of_model.data() + r * vocab, of_file.data() + r * vocab, vocab);
    return sum / static_cast<double>(rows);
  }

  AutoOptions Options() const {
    return {.judge = [this](const fs::path& path) { return Kl(path); }, .quiet = true, .threads = 2};
  }
};

// One matrix after another is rounded alone; what the Fisher information expects of the predictions is what they do.
TEST_F(AutoModel, FisherInformationForetellsKlDivergence) {
  for (const char* config : {kWide, kWideGpt2}) {
    tiny::WriteFolder(folder_ / "model", config, DType::kF32);
    const ModelFiles files = OpenModel(folder_ / "model");
    const Plan plan = PlanOf(files, WeightMode::kF32);
    Context context(Numerics::kExact, 2);
    std::vector<std::vector<TokenId>> samples;  // many times over, as labels are drawn: the estimate is a mean
    for (int i = 0; i < 20; ++i)
      samples.insert(samples.end(), calibration_.samples.begin(), calibration_.samples.end());
    const Fisher fisher = MeasureFisher(files, samples, 1u << 20, context, true);
    BlockWalk walk(files, plan, calibration_.samples, context);
    for (size_t layer = 0; layer < 2; ++layer) {
      walk.Load(layer);
      for (const BlockWalk::Input input : BlockWalk::kInputs) {
        const BlockInput rows = walk.Compute(input);
        const std::vector<float> gram = GramOf(rows, context);
        for (const Role role : walk.Readers(input)) {
          const TensorSpec& spec = *plan.Find(role, static_cast<int>(layer));
          std::vector<FormatId> formats(plan.tensors.size(), FormatId::kF32);
          formats[static_cast<size_t>(&spec - plan.tensors.data())] = FormatId::kQ4_0;
          const GgufOptions options{.type = FindGgufFileType("F32"), .formats = formats, .quiet = true};
          QuantizeGguf(folder_ / "model", folder_ / "one.gguf", options);
          std::vector<size_t> all(spec.rows);
          std::iota(all.begin(), all.end(), size_t{0});
          std::vector<float> error = ReadRows(OpenModel(folder_ / "one.gguf"), plan, spec, all);
          const std::vector<float> exact = ReadRows(files, plan, spec, all);
          double expected = 0;
          for (size_t r = 0; r < spec.rows; ++r) {
            for (size_t i = 0; i < spec.cols; ++i) error[r * spec.cols + i] -= exact[r * spec.cols + i];
            expected += 0.5 * fisher.outputs.at(spec.name)[r] / static_cast<double>(rows.rows) *
                        QuadraticForm(std::span(error).subspan(r * spec.cols, spec.cols), 1, spec.cols, gram);
          }
          const double kl = Kl(folder_ / "one.gguf");
          // Errors of values that positions have in common add up in what attention sums.
          const double factor = role == Role::kV || role == Role::kQkv ? 3 : 1.5;
          EXPECT_GT(expected, kl / factor) << spec.name;
          EXPECT_LT(expected, kl * factor) << spec.name;
        }
      }
      walk.Finish();
    }
  }
}

TEST_F(AutoModel, BestFileWithinABudget) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  AutoOptions options = Options();
  double last = HUGE_VAL;
  for (const char* type : {"Q4_0", "Q5_0", "Q8_0"}) {
    QuantizeGguf(folder_ / "model", folder_ / "uniform.gguf", {.type = FindGgufFileType(type), .quiet = true});
    options.budget = fs::file_size(folder_ / "uniform.gguf");
    const AutoReport report = QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options);
    EXPECT_LE(fs::file_size(folder_ / "auto.gguf"), options.budget);
    EXPECT_EQ(fs::file_size(folder_ / "auto.gguf"), report.artefact.bytes);
    const double kl = Kl(folder_ / "auto.gguf");
    EXPECT_DOUBLE_EQ(kl, report.chosen.judged);
    EXPECT_LT(kl, 0.85 * Kl(folder_ / "uniform.gguf")) << type;
    EXPECT_LT(kl, last);
    last = kl;
    // Within a factor: the expansion is of second order, and takes errors as independent.
    EXPECT_LT(report.chosen.estimated_kl, 3 * kl) << type;
    EXPECT_GT(report.chosen.estimated_kl, kl / 3) << type;
    EXPECT_EQ(report.formats.size(), 2u * 7u + 1u);
    EXPECT_FALSE(fs::exists(folder_ / "auto.gguf.types.layers"));
    EXPECT_FALSE(fs::exists(folder_ / "auto.gguf.trial.gguf"));
  }
}

TEST_F(AutoModel, SmallestFileWithinALimit) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  AutoOptions options = Options();
  QuantizeGguf(folder_ / "model", folder_ / "uniform.gguf", {.type = FindGgufFileType("Q5_0"), .quiet = true});
  options.limit = Kl(folder_ / "uniform.gguf");
  const AutoReport report = QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options);
  EXPECT_LE(Kl(folder_ / "auto.gguf"), options.limit);
  EXPECT_LT(fs::file_size(folder_ / "auto.gguf"), fs::file_size(folder_ / "uniform.gguf"));
  for (const AutoTrial& trial : report.trials)
    EXPECT_TRUE(trial.judged > options.limit || trial.bytes >= report.chosen.bytes);
  // A limit that the largest file alone is within.
  const uint64_t largest = report.front.back().bytes;
  options.judge = [&](const fs::path& path) { return fs::file_size(path) == largest ? 0.0 : 1.0; };
  options.limit = 0.5;
  QuantizeAuto(folder_ / "model", folder_ / "largest.gguf", calibration_, options);
  EXPECT_EQ(fs::file_size(folder_ / "largest.gguf"), largest);
}

// Of a judgement that knows nothing of KL divergence.
TEST_F(AutoModel, SmallestFileAboveAFloor) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  AutoOptions options = Options();
  options.judges_kl = false;
  for (const char* type : {"Q4_0", "Q8_0"}) {
    QuantizeGguf(folder_ / "model", folder_ / "uniform.gguf", {.type = FindGgufFileType(type), .quiet = true});
    const uint64_t needed = fs::file_size(folder_ / "uniform.gguf");
    options.judge = [&](const fs::path& path) { return fs::file_size(path) < needed ? 0.1 : -0.1; };
    const AutoReport report = QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options);
    const uint64_t bytes = fs::file_size(folder_ / "auto.gguf");
    EXPECT_GE(bytes, needed);
    EXPECT_LT(static_cast<double>(bytes), 1.05 * static_cast<double>(needed)) << type;
    EXPECT_LE(report.trials.size(), 8u);
    EXPECT_EQ(report.chosen.judged, -0.1);
  }
  options.judge = [](const fs::path&) { return 0.1; };
  EXPECT_THROW(QuantizeAuto(folder_ / "model", folder_ / "none.gguf", calibration_, options), Error);
  EXPECT_FALSE(fs::exists(folder_ / "none.gguf"));
}

TEST_F(AutoModel, GoalsThatCannotBeMet) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  AutoOptions options = Options();
  options.budget = 1000000;
  // What qad did not write is not replaced, wherever it lies in the way.
  for (const char* name : {"auto.gguf", "auto.gguf.trial.gguf", "auto.gguf.best.gguf"}) {
    tiny::WriteGguf(folder_ / name, FormatId::kQ8_0);
    const std::string theirs = ReadTextFile(folder_ / name);
    EXPECT_THROW(QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options), Error);
    EXPECT_TRUE(ReadTextFile(folder_ / name) == theirs) << name;
    fs::remove(folder_ / name);
  }
  options.budget = 1000;
  EXPECT_THROW(QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options), Error);
  EXPECT_THROW(RequireBudget(folder_ / "model", 1000), Error);
  RequireBudget(folder_ / "model", 1000000);
  options.budget = 0;
  options.judge = [](const fs::path&) { return 1.0; };
  options.limit = 0.5;
  EXPECT_THROW(QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options), Error);
  EXPECT_FALSE(fs::exists(folder_ / "auto.gguf"));
  EXPECT_FALSE(fs::exists(folder_ / "auto.gguf.trial.gguf"));
}

// Measured types are kept beside the artefact to be: what an interrupted run has done is not done again.
TEST_F(AutoModel, GoesOnBehindMeasuredLayers) {
  tiny::WriteFolder(folder_ / "model", kWideGpt2, DType::kF32);
  AutoOptions options = Options();
  options.budget = 80000;
  options.judge = [](const fs::path&) -> double { Fail(ErrorKind::kInterrupted, "interrupted"); };
  EXPECT_THROW(QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options), Error);
  EXPECT_TRUE(fs::exists(folder_ / "auto.gguf.types.layers" / "layer-2.safetensors"));
  options.judge = [](const fs::path&) { return 0.0; };
  QuantizeAuto(folder_ / "model", folder_ / "auto.gguf", calibration_, options);
  options.threads = 1;
  QuantizeAuto(folder_ / "model", folder_ / "whole.gguf", calibration_, options);
  EXPECT_TRUE(ReadTextFile(folder_ / "auto.gguf") == ReadTextFile(folder_ / "whole.gguf"));  // whatever the threads
}

// Statistics that are kept are those of the next file, too: types' costs that were changed in between are taken as they
// are, what is damaged is measured again, and other texts have their own.
TEST_F(AutoModel, StatisticsAreKept) {
  tiny::WriteFolder(folder_ / "model", kWideGpt2, DType::kF32);
  AutoOptions options = Options();
  options.budget = 80000;
  const AutoReport alone = QuantizeAuto(folder_ / "model", folder_ / "alone.gguf", calibration_, options);
  options.statistics = folder_ / "statistics";
  const AutoReport first = QuantizeAuto(folder_ / "model", folder_ / "first.gguf", calibration_, options);
  EXPECT_TRUE(ReadTextFile(folder_ / "alone.gguf") == ReadTextFile(folder_ / "first.gguf"));
  EXPECT_EQ(std::distance(fs::directory_iterator(options.statistics), fs::directory_iterator()), 2);
  for (const auto& entry : fs::recursive_directory_iterator(options.statistics)) {
    const bool of_types = entry.path().filename().string().starts_with("layer-");
    if (!of_types && entry.path().extension() == ".safetensors") fs::resize_file(entry.path(), 100);
    if (!of_types) continue;
    Json costs = ParseJson(SafetensorsFile(entry.path()).metadata().at("summary"), "summary");
    for (auto& matrix : costs)
      for (auto& cost : matrix) cost = 2 * cost.get<double>();
    WriteSafetensors(entry.path(), {}, {{"summary", costs.dump()}});
  }
  const AutoReport again = QuantizeAuto(folder_ / "model", folder_ / "again.gguf", calibration_, options);
  ASSERT_EQ(again.front.size(), first.front.size());
  for (size_t i = 0; i < first.front.size(); ++i) EXPECT_DOUBLE_EQ(again.front[i].cost, 2 * first.front[i].cost);
  EXPECT_TRUE(ReadTextFile(folder_ / "again.gguf") == ReadTextFile(folder_ / "first.gguf"));
  calibration_.samples.pop_back();
  const AutoReport other = QuantizeAuto(folder_ / "model", folder_ / "other.gguf", calibration_, options);
  EXPECT_NE(other.front.front().cost, first.front.front().cost);
  EXPECT_EQ(std::distance(fs::directory_iterator(options.statistics), fs::directory_iterator()), 4);
}

TEST_F(AutoModel, ImportanceIsKept) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  const ModelFiles files = OpenModel(folder_ / "model");
  const Statistics statistics(folder_ / "statistics", files, calibration_);
  Context context(Numerics::kExact, 2);
  const Importance measured = MeasureImportance(files, calibration_.samples, context, true);
  const Importance first = statistics.GetImportance(context, true);
  ASSERT_EQ(first.size(), measured.size());
  for (const auto& [name, values] : measured) EXPECT_TRUE(AllClose(first.at(name), values, 0, 1e-6)) << name;
  EXPECT_EQ(statistics.GetImportance(context, true), first);
  const fs::path kept = fs::directory_iterator(folder_ / "statistics")->path();
  WriteImportance(kept, {{"changed", {1, 2}}}, 1, 1, "texts");
  EXPECT_EQ(statistics.GetImportance(context, true).count("changed"), 1u);
  fs::resize_file(kept, 20);
  EXPECT_EQ(statistics.GetImportance(context, true), first);
  EXPECT_EQ(Statistics({}, files, calibration_).GetImportance(context, true), measured);
}

}  // namespace
}  // namespace qad

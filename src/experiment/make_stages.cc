// The stages that make quantized weights and the index.
#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "experiment/adapter_files.h"
#include "experiment/auto_weights.h"
#include "experiment/floor_judge.h"
#include "experiment/manifest.h"
#include "experiment/stages.h"
#include "kernels/targets.h"
#include "quantize/artefact.h"
#include "quantize/calibration.h"
#include "quantize/gguf_model.h"
#include "quantize/nf4_model.h"
#include "quantize/rtn_int8.h"
#include "quantize/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

CalibrationOptions CalibrationOf(const Config& config) {
  return {.samples = static_cast<size_t>(config.quantize.samples),
          .length = static_cast<size_t>(config.quantize.length),
          .seed = config.seed,
          .system_prompt = config.data.system_prompt};
}

// What the weights are made of: the model itself, or with the adapter in it.
fs::path SourceOf(const Workspace& workspace, const WeightsRecipe& recipe) {
  return recipe.merged.empty() ? workspace.model_path : fs::path(workspace.models.SourceOf(MergedWord(recipe.merged)));
}

Calibration Calibrate(const Workspace& workspace, const fs::path& model) {
  const Config& config = workspace.config;
  if (config.quantize.calibration.empty())
    return GenerateCalibration(model, CalibrationOf(config), workspace.context.threads);
  return ReadCalibration(config.quantize.calibration, OpenModel(model), CalibrationOf(config));
}

// Arms that look at the same texts measure them once.
fs::path StatisticsFolder(const Workspace& workspace) { return workspace.config.output / "cache" / "statistics"; }

GroupModelOptions GroupOptionsOf(const Workspace& workspace, const WeightsRecipe& recipe) {
  const QuantizeConfig& quantize = workspace.config.quantize;
  return {.method = recipe.method,
          .packing = OwnPacking(recipe.method),
          .groups = {.bits = recipe.bits,
                     .group_size = static_cast<size_t>(std::max(quantize.group_size, 0)),
                     .symmetric = IsSymmetric(recipe.method)},
          .act_order = quantize.act_order,
          .quiet = workspace.quiet,
          .threads = workspace.context.threads};
}

QuantizeReport MakeGroups(const Workspace& workspace, const WeightsRecipe& recipe, const fs::path& output) {
  const fs::path source = SourceOf(workspace, recipe);
  return QuantizeGroups(source, output, recipe.calibrated() ? Calibrate(workspace, source) : Calibration(),
                        GroupOptionsOf(workspace, recipe));
}

QuantizeReport MakeGgufWeights(Workspace& workspace, const WeightsRecipe& recipe, const fs::path& output) {
  const ReportFrame frame(workspace.context.threads);
  const fs::path source = SourceOf(workspace, recipe);
  GgufOptions options{.type = recipe.type, .quiet = workspace.quiet, .threads = workspace.context.threads};
  if (!recipe.calibrated()) return QuantizeGguf(source, output, options);
  const Calibration calibration = Calibrate(workspace, source);
  if (workspace.config.quantize.error_feedback) {
    options.feedback = {.calibration = &calibration, .act_order = workspace.config.quantize.act_order};
    return QuantizeGguf(source, output, options);
  }
  const ModelFiles files = OpenModel(source);
  const Importance importance =
      Statistics(StatisticsFolder(workspace), files, calibration).GetImportance(workspace.context, workspace.quiet);
  options.importance = &importance;
  const GgufMade made = MakeGguf(source, output, options);
  return frame.Finish(output, made.bytes, made.source_bytes, made.errors);
}

// As many of its points as a picture shows, from the smallest file on.
Front FrontOf(const std::string& weights, const AutoReport& report) {
  constexpr size_t kPoints = 64;
  Front front{.weights = weights, .bytes = {}, .kl = {}};
  const size_t count = std::min(kPoints, report.front.size());
  for (size_t i = 0; i < count; ++i) {
    const Choice& point = report.front[i * (report.front.size() - 1) / std::max<size_t>(count - 1, 1)];
    front.bytes.push_back(static_cast<double>(point.bytes));
    front.kl.push_back(point.cost);
  }
  return front;
}

QuantizeReport MakeAuto(const Workspace& workspace, const WeightsRecipe& recipe, const fs::path& output,
                        Results& results) {
  std::optional<FloorsToReach> floors;
  if (recipe.floor) floors.emplace(FloorsToReach{workspace.config, recipe.prompting});
  const fs::path source = SourceOf(workspace, recipe);
  const AutoWeights made = MakeAutoWeights(source, output, Calibrate(workspace, source),
                                           {.budget = recipe.budget,
                                            .limit = recipe.max_kl,
                                            .judge = nullptr,
                                            .act_order = workspace.config.quantize.act_order,
                                            .statistics = StatisticsFolder(workspace),
                                            .quiet = workspace.quiet,
                                            .threads = workspace.context.threads},
                                           floors);
  const auto add = [&](const char* metric, double value) {
    results.rows.push_back(Measured(recipe.weights, kQuantizeSlice, metric, value));
  };
  add("held_out_kl_divergence", made.kl_divergence);
  if (made.above_floor) add("above_floor", *made.above_floor);
  add("estimated_kl_divergence", made.report.chosen.estimated_kl);
  results.fronts.push_back(FrontOf(recipe.weights, made.report));
  return made.report.artefact;
}

// The adapter in the weights that it was trained on.
QuantizeReport MakeMerged(const Workspace& workspace, const std::string& name, const fs::path& output) {
  const AdapterConfig& adapter = *FindAdapter(workspace.config, name);
  return MergeAdapterFiles(ResolveModel(workspace.models.SourceOf(adapter.base)), workspace.AdapterFolder(name), output,
                           {.threads = workspace.context.threads, .quiet = workspace.quiet})
      .report;
}

QuantizeReport MakeArtefact(Workspace& workspace, const WeightsRecipe& recipe, const fs::path& output,
                            Results& results) {
  using Kind = WeightsRecipe::Kind;
  const int threads = workspace.context.threads;
  switch (recipe.kind) {
    case Kind::kInt8:
      return QuantizeInt8(
          SourceOf(workspace, recipe), output,
          {.per_tensor = recipe.per_tensor, .embeddings = false, .quiet = workspace.quiet, .threads = threads});
    case Kind::kNf4:
      return QuantizeNf4(SourceOf(workspace, recipe), output, {.quiet = workspace.quiet, .threads = threads});
    case Kind::kGroups:
      return MakeGroups(workspace, recipe, output);
    case Kind::kGguf:
      return MakeGgufWeights(workspace, recipe, output);
    case Kind::kAuto:
      return MakeAuto(workspace, recipe, output, results);
    case Kind::kMerged:
      return MakeMerged(workspace, recipe.merged, output);
    case Kind::kBase:
    case Kind::kStored:
      break;  // nothing is made
  }
  QAD_CHECK(false);
}

Results MakeWeights(Workspace& workspace, const WeightsRecipe& recipe, const fs::path& output) {
  workspace.FreeModels();
  Results results;
  const QuantizeReport report = MakeArtefact(workspace, recipe, output, results);
  const auto add = [&](const std::string& metric, double value, int64_t n = 1) {
    results.rows.push_back(Measured(recipe.weights, kQuantizeSlice, metric, value, n));
  };
  add("seconds", report.seconds);
  add("bytes", static_cast<double>(report.bytes));
  add("peak_rss_bytes", static_cast<double>(report.peak_rss_bytes));
  for (const RoleError& error : report.errors)
    add(fmt::format("nmse:{}", RoleName(error.role)), error.nmse, static_cast<int64_t>(error.values));
  return results;
}

// What answers to the dev items depend on, and what is asked of them.
Json FloorInputs(const Workspace& workspace, Prompting prompting) {
  const Config& config = workspace.config;
  Json inputs{{"required", config.decide.required},
              {"dev", config.data.dev.empty() ? "" : Sha256File(config.data.dev)},
              {"train", Sha256File(config.data.train)},
              {"max_length", config.data.max_length},
              {"max_new_tokens", config.eval.max_new_tokens},
              {"prompting", static_cast<int>(prompting)}};
  if (prompting == Prompting::kFewShot) inputs["examples"] = {config.few_shot.examples, config.few_shot.select};
  if (prompting == Prompting::kRag) {
    inputs["documents"] = DocumentsHash(config, config.data.documents);
    inputs["rag"] = workspace.SearchInputs();
  }
  return inputs;
}

}  // namespace

Json WeightsInputs(const Workspace& workspace, const WeightsRecipe& recipe) {
  const Config& config = workspace.config;
  Json inputs{{"program", ProgramSha256()}, {"model", workspace.ModelHash()}};
  if (!recipe.merged.empty()) {
    inputs["adapter"] = AdapterInputs(workspace, recipe.merged);
    if (const WeightsRecipe base = RecipeOf(FindAdapter(config, recipe.merged)->base); base.made())
      inputs["base"] = WeightsInputs(workspace, base);
  }
  if (recipe.kind == WeightsRecipe::Kind::kGroups) inputs["group_size"] = config.quantize.group_size;
  if (recipe.kind == WeightsRecipe::Kind::kGguf) inputs["error_feedback"] = config.quantize.error_feedback;
  if (recipe.calibrated()) {
    const fs::path& texts = config.quantize.calibration;
    inputs["target"] = CurrentTarget();
    inputs["samples"] = config.quantize.samples;
    inputs["length"] = config.quantize.length;
    inputs["act_order"] = config.quantize.act_order;
    inputs["texts"] = texts.empty() ? "of the model" : Sha256File(texts);
    inputs["seed"] = config.seed;
    inputs["system_prompt"] = config.data.system_prompt;
  }
  if (recipe.floor) inputs["floors"] = FloorInputs(workspace, recipe.prompting);
  return inputs;
}

namespace {

Stage QuantizeStage(Workspace& workspace, const WeightsRecipe& recipe) {
  const fs::path output = workspace.WeightsPath(recipe);
  Stage stage{.name = "quantize: " + recipe.weights,
              .label = "make " + recipe.weights + " weights",
              .inputs = WeightsInputs(workspace, recipe),
              .outputs = {},
              .run = {},
              .of_every_run = recipe.merged.empty()};
  for (const fs::path& file : recipe.Files()) stage.outputs.push_back(output.parent_path() / file);
  stage.run = [&workspace, recipe, output] { return MakeWeights(workspace, recipe, output); };
  return stage;
}

}  // namespace

std::vector<Stage> QuantizeStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const WeightsRecipe& recipe : MadeWeights(workspace.config)) stages.push_back(QuantizeStage(workspace, recipe));
  return stages;
}

std::vector<Stage> ExportStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const AdapterConfig& adapter : workspace.config.adapters) {
    const fs::path file = workspace.AdapterFile(adapter.name);
    const auto has_it = [&](const ArmConfig& arm) {
      return arm.adapter == adapter.name && workspace.AttachedAdapter(arm) == file;
    };
    if (std::ranges::none_of(workspace.config.arms, has_it) && std::ranges::none_of(workspace.config.text_only, has_it))
      continue;
    Stage stage{.name = "convert: " + adapter.name,
                .label = "adapter " + adapter.name + " as a GGUF file",
                .inputs = AdapterInputs(workspace, adapter.name),
                .outputs = {file},
                .run = {}};
    stage.inputs["program"] = ProgramSha256();
    stage.inputs["model"] = workspace.ModelHash();
    stage.run = [&workspace, name = adapter.name, file] {
      workspace.FreeModels();
      ConvertAdapterFiles(workspace.model_path, workspace.AdapterFolder(name), file);
      return Results();
    };
    stages.push_back(std::move(stage));
  }
  return stages;
}

void RequireMakeable(const Workspace& workspace) {
  const ModelFiles files = OpenModel(workspace.model_path);
  const Plan plan = PlanOf(files, WeightMode::kAsStored);
  for (const WeightsRecipe& recipe : MadeWeights(workspace.config)) {
    if (recipe.kind == WeightsRecipe::Kind::kGroups) RequireGroupsFit(files, plan, GroupOptionsOf(workspace, recipe));
    if (recipe.kind == WeightsRecipe::Kind::kNf4) RequireNf4Fits(files, plan);
    if (recipe.kind == WeightsRecipe::Kind::kMerged) {
      (void)DenseConfig(files, "bfloat16");
      RequireReplaceable(workspace.WeightsPath(recipe), workspace.model_path);
    }
    if (recipe.budget > 0) RequireBudget(workspace.model_path, recipe.budget);
    if (recipe.floor) RequireFloors(workspace.config);
  }
}

std::string DocumentsHash(const Config& config, const std::vector<fs::path>& documents) {
  Json chunks = Json::array();
  for (const Chunk& chunk : ChunkDocuments(documents, config.rag.chunk_tokens, CountWords))
    chunks.push_back({chunk.id, chunk.heading, chunk.text});
  return Sha256(chunks.dump());
}

Stage IndexStage(Workspace& workspace) {
  Stage stage{.name = "index",
              .label = "index the documents",
              .inputs = {{"program", ProgramSha256()},
                         {"documents", DocumentsHash(workspace.config, workspace.CurrentDocuments())},
                         {"index", workspace.IndexInputs()}},
              .outputs = {IndexPath(workspace.config)},
              .run = {}};
  stage.run = [&workspace] {
    IndexReport report;
    const std::unique_ptr<Index> index = OpenIndex(workspace, true, &report);
    Results results;
    results.rows = {Measured("rag", kUpdateSlice, "seconds_to_update", report.seconds),
                    Measured("rag", kRetrievalSlice, "chunks", static_cast<double>(report.chunks))};
    return results;
  };
  return stage;
}

}  // namespace qad

// The stages that ask what a training made the model forget: choices that have nothing to do with what it was trained
// for.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/progress.h"
#include "experiment/arms.h"
#include "experiment/evaluate_arm.h"
#include "experiment/stages.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char* kMetric = "choice";

fs::path SamplesPath(const Workspace& workspace, const std::string& arm) {
  return workspace.root / "zero-shot" / SamplesFileName(arm);
}

// The base, and adapters as they were trained: before and after.
std::vector<ArmConfig> BeforeAndAfter(const Config& config) {
  std::vector<ArmConfig> forms;
  for (ArmConfig& form : FormsOf(config)) {
    const AdapterConfig* adapter = FindAdapter(config, form.adapter);
    if (adapter == nullptr ? form.weights != "bf16" : DeploymentOf(*adapter, form) != kAsTrained) continue;
    form.prompting = Prompting::kZeroShot;
    forms.push_back(std::move(form));
  }
  return forms;
}

// "choice" of all, "choice:capitals" of one task.
std::vector<Row> RowsOf(const Workspace& workspace, const std::vector<Sample>& samples) {
  std::vector<Row> rows;
  for (Row& row : Summarize(workspace, samples)) {
    if (row.metric != kMetric) continue;
    const std::string task = row.slice == kZeroShotSlice ? "" : row.slice.substr(kZeroShotSlice.size());
    row.slice = kZeroShotSlice;
    if (!task.empty()) row.metric = fmt::format("{}:{}", kMetric, task.substr(1));
    rows.push_back(std::move(row));
  }
  return rows;
}

Results AskChoices(Workspace& workspace, const ArmConfig& form) {
  Model& model = ModelOf(workspace, form);
  const PromptMaker maker(workspace, nullptr);
  std::vector<Sample> samples;
  Progress progress("zero-shot tasks, " + form.name, static_cast<double>(workspace.zero_shot.size()), "items",
                    workspace.quiet);
  for (const Item& item : workspace.zero_shot) {
    const Prompt prompt = maker.Make(model, form, item);
    if (!Fits(workspace, model, prompt, LongestChoice(prompt))) continue;
    Sample sample;
    sample.arm = form.name;
    sample.item = item.id;
    sample.slice = fmt::format("{}/{}", kZeroShotSlice, item.slice);
    sample.expected = item.completion;
    ScoreChoices(workspace, model, item, prompt, sample);
    samples.push_back(std::move(sample));
    progress.Advance(1);
  }
  if (samples.empty())
    FailInput("{}: none of its items fits data.max_length and the model's {} positions",
              workspace.config.data.zero_shot.string(), model.config().max_positions);
  MakeFolders(workspace.root / "zero-shot");
  WriteSamples(SamplesPath(workspace, form.name), samples);
  Results results;
  results.rows = RowsOf(workspace, samples);
  return results;
}

}  // namespace

std::vector<Stage> ZeroShotStages(Workspace& workspace) {
  std::vector<Stage> stages;
  if (workspace.zero_shot.empty()) return stages;
  for (const ArmConfig& form : BeforeAndAfter(workspace.config)) {
    Stage stage{.name = "zero-shot: " + form.name,
                .label = "zero-shot tasks, " + form.name,
                .inputs = AnswerInputs(workspace, form),
                .outputs = {SamplesPath(workspace, form.name)},
                .run = {}};
    stage.inputs["tasks"] = Sha256File(workspace.config.data.zero_shot);
    stage.run = [&workspace, form] { return AskChoices(workspace, form); };
    stages.push_back(std::move(stage));
  }
  return stages;
}

std::vector<Row> RowsOfForgetting(const Workspace& workspace) {
  std::vector<Row> rows;
  if (workspace.zero_shot.empty()) return rows;
  const EvalOptions& eval = workspace.config.eval;
  const std::vector<ArmConfig> forms = BeforeAndAfter(workspace.config);
  const auto base = std::ranges::find_if(forms, [](const ArmConfig& form) { return form.adapter.empty(); });
  if (base == forms.end()) return rows;
  const std::vector<Sample> before = ReadSamples(SamplesPath(workspace, base->name));
  for (const ArmConfig& form : forms) {
    if (form.adapter.empty()) continue;
    const std::vector<Sample> samples = ReadSamples(SamplesPath(workspace, form.name));
    const Comparison pair = ComparePaired(samples, before, std::string(kZeroShotSlice), kMetric,
                                          {.confidence = eval.confidence,
                                           .bootstrap = eval.bootstrap,
                                           .seed = workspace.config.seed,
                                           .margin = eval.margin});
    Row row = Measured(form.name, kZeroShotSlice, "choice_difference", pair.difference, pair.n);
    row.low = pair.low;
    row.high = pair.high;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace qad

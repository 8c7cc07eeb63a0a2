// The stages that hold the forms in which an adapter may be served against the adapter as it was trained.
#include <algorithm>

#include "evaluate/parity.h"
#include "experiment/arms.h"
#include "experiment/stages.h"
#include "results/statistics.h"

namespace qad {
namespace {

// The adapter on the weights that it was trained on.
ArmConfig AsTrained(const Config& config, const ArmConfig& form) {
  ArmConfig trained = form;
  trained.name = form.adapter;
  trained.weights = FindAdapter(config, form.adapter)->base;
  trained.merged = false;
  return trained;
}

// Every item's prompt with the answer it should get, as many as fit into the model.
std::vector<GivenAnswer> GivenAnswers(Workspace& workspace, const ArmConfig& arm, const Model& model) {
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  const PromptMaker maker(workspace, index.get());
  std::vector<GivenAnswer> given;
  for (const Item& item : workspace.eval) {
    Prompt prompt = maker.Make(model, arm, item);
    const size_t length = prompt.tokens.size() + prompt.reference.size();
    if (prompt.nothing_found || prompt.tokens.empty() || prompt.reference.empty() ||
        prompt.tokens.size() > static_cast<size_t>(workspace.config.data.max_length) ||
        length > model.config().max_positions)
      continue;
    given.push_back({std::move(prompt.tokens), std::move(prompt.reference)});
  }
  return given;
}

Results CompareForms(Workspace& workspace, const ArmConfig& form) {
  Context reference_context(Numerics::kFast, workspace.context.threads);
  Model &trained = ModelOf(workspace, AsTrained(workspace.config, form)), &served = ModelOf(workspace, form);
  const std::vector<GivenAnswer> given = GivenAnswers(workspace, form, served);
  Results results;
  const ScoredModel model{&workspace.context, &served.transformer}, reference{&reference_context, &trained.transformer};
  const std::vector<AnswerDistance> distances = CompareAnswers(model, reference, given);
  const auto add = [&](const char* metric, double AnswerDistance::*value) {
    std::vector<double> values;
    for (const AnswerDistance& distance : distances) values.push_back(distance.*value);
    if (values.empty()) return;
    const MeanInterval mean = MeanOf(values, workspace.config.eval.confidence);
    Row row = Measured(form.name, kParitySlice, metric, mean.mean, static_cast<int64_t>(values.size()));
    if (mean.interval) {
      row.low = mean.interval->low;
      row.high = mean.interval->high;
    }
    results.rows.push_back(std::move(row));
  };
  add("kl_divergence", &AnswerDistance::kl);
  add("same_top1", &AnswerDistance::same_top1);
  add("log_likelihood_lost", &AnswerDistance::log_likelihood_lost);
  const std::filesystem::path adapter = workspace.AttachedAdapter(form);
  const double resident = static_cast<double>(served.weights().allocated_bytes()) +
                          (adapter.empty() ? 0 : static_cast<double>(workspace.models.AdapterBytes(adapter)));
  results.rows.push_back(Measured(form.name, kParitySlice, "resident_bytes", resident));
  results.forms.push_back({form.name, form.adapter, DeploymentOf(*FindAdapter(workspace.config, form.adapter), form)});
  return results;
}

}  // namespace

std::vector<Stage> ParityStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const ArmConfig& form : FormsOf(workspace.config)) {
    if (form.adapter.empty() || DeploymentOf(*FindAdapter(workspace.config, form.adapter), form) == kAsTrained)
      continue;
    Stage stage{.name = "parity: " + form.name,
                .label = "parity of " + form.name,
                .inputs = AnswerInputs(workspace, form),
                .outputs = {},
                .run = {}};
    stage.inputs["trained"] = ArmInputs(workspace, AsTrained(workspace.config, form));
    stage.run = [&workspace, form] { return CompareForms(workspace, form); };
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace qad

// The stages that hold the forms in which an adapter may be served against the adapter as it was trained.
#include <algorithm>

#include "evaluate/parity.h"
#include "experiment/arms.h"
#include "experiment/stages.h"

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

// Prompts with the answers they should get and the token at which these stop, of the items that fit into the model.
struct Given {
  std::vector<GivenAnswer> answers;
  std::vector<const Item*> items;
};

Given GivenAnswers(Workspace& workspace, const ArmConfig& arm, const Model& model) {
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  const PromptMaker maker(workspace, index.get());
  const std::vector<TokenId> end = model.chat.EncodeEnd(model.tokenizer);
  Given given;
  for (const Item& item : workspace.eval) {
    Prompt prompt = maker.Make(model, arm, item);
    if (!prompt.reference.empty() && !item.plain_text && !end.empty()) prompt.reference.push_back(end.front());
    if (prompt.nothing_found || prompt.reference.empty() || !Fits(workspace, model, prompt, prompt.reference.size()))
      continue;
    given.answers.push_back({std::move(prompt.tokens), std::move(prompt.reference)});
    given.items.push_back(&item);
  }
  return given;
}

// Means over the items with their intervals, items of one fact resampled together.
std::vector<Row> RowsOf(const Workspace& workspace, const std::string& arm, const std::vector<const Item*>& items,
                        const std::vector<AnswerDistance>& distances) {
  std::vector<Sample> samples;
  for (size_t i = 0; i < items.size(); ++i) {
    Sample& sample = samples.emplace_back();
    sample.arm = arm;
    sample.item = items[i]->id;
    sample.cluster = items[i]->Cluster();
    sample.slice = kParitySlice;
    sample.scores = {{"kl_divergence", distances[i].kl},
                     {"same_top1", distances[i].same_top1},
                     {"log_likelihood_lost", distances[i].log_likelihood_lost}};
  }
  return Summarize(workspace, samples);
}

Results CompareForms(Workspace& workspace, const ArmConfig& form) {
  Context reference_context(Numerics::kFast, workspace.context.threads);
  Model &trained = ModelOf(workspace, AsTrained(workspace.config, form)), &served = ModelOf(workspace, form);
  const auto [answers, items] = GivenAnswers(workspace, form, served);
  const ScoredModel model{&workspace.context, &served.transformer}, reference{&reference_context, &trained.transformer};
  Results results;
  results.rows = RowsOf(workspace, form.name, items, CompareAnswers(model, reference, answers));
  const std::filesystem::path adapter = workspace.AttachedAdapter(form);
  const double resident = static_cast<double>(served.weights().allocated_bytes()) +
                          (adapter.empty() ? 0 : static_cast<double>(workspace.models.AdapterBytes(adapter)));
  results.rows.push_back(Measured(form.name, kParitySlice, "resident_bytes", resident));
  results.forms.push_back({form.name, form.adapter, DeploymentOf(*FindAdapter(workspace.config, form.adapter), form)});
  return results;
}

// Of arms and of what is measured on texts alone, each with its own prompts; another seed is no other form.
std::vector<ArmConfig> ServedOtherwise(const Config& config) {
  std::vector<ArmConfig> forms;
  for (const auto* arms : {&config.arms, &config.text_only})
    for (const ArmConfig& arm : *arms)
      if (const AdapterConfig* adapter = FindAdapter(config, arm.adapter);
          adapter != nullptr && arm.replica_of.empty() && DeploymentOf(*adapter, arm) != kAsTrained)
        forms.push_back(arm);
  return forms;
}

}  // namespace

std::vector<Stage> ParityStages(Workspace& workspace) {
  std::vector<Stage> stages;
  for (const ArmConfig& form : ServedOtherwise(workspace.config)) {
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

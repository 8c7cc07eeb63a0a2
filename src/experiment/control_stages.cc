// The stages that say what an arm's score means: what it was worth before the documents' update, and what it makes of
// the right passage.
#include <fmt/format.h>

#include <algorithm>

#include "evaluate/before_update.h"
#include "evaluate/metrics.h"
#include "experiment/evaluate_arm.h"
#include "experiment/stages.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// The rows of `contains`, under another name.
std::vector<Row> RowsOf(const Workspace& workspace, const std::vector<Sample>& samples, const char* name) {
  std::vector<Row> rows;
  for (Row& row : Summarize(workspace, samples)) {
    if (row.metric != "contains") continue;
    row.metric = name;
    rows.push_back(std::move(row));
  }
  return rows;
}

// A control as the stage has it: its name, and what it depends on.
struct Control {
  std::string label;
  Json inputs;
};

std::vector<Sample> AnswerItems(Workspace& workspace, const ArmConfig& arm, const Index* index,
                                std::span<const Item> items, const Control& control) {
  fs::path batches = workspace.root / "samples" / SamplesFileName(control.label);
  batches.replace_extension(".batches");
  return AnswerItems(workspace, arm, index, items, control.label, batches, control.inputs);
}

Results EvaluateBefore(Workspace& workspace, const ArmConfig& arm, const Control& control) {
  const std::unique_ptr<Index> index = OpenEarlierIndex(workspace);
  const std::vector<Sample> samples = AnswerItems(workspace, arm, index.get(), BeforeUpdate(workspace.eval), control);
  Results results;
  results.rows = RowsOf(workspace, samples, kBeforeMetric);
  return results;
}

// Questions that name their source, each with the chunks of it.
std::vector<Item> WithTheirSource(const Workspace& workspace) {
  const auto k = static_cast<size_t>(workspace.config.rag.top_k);
  const std::vector<Chunk> chunks =
      ChunkDocuments(workspace.CurrentDocuments(), workspace.config.rag.chunk_tokens, CountWords);
  std::vector<Item> items;
  for (const Item& item : workspace.eval) {
    if (!JudgesRetrieval(item) || !item.answerable || !item.schema.empty()) continue;
    Item given = item;
    for (const Chunk& chunk : chunks)
      if (given.passages.size() < k && IsFromSource(chunk.id, item.source))
        given.passages.push_back({.id = chunk.id, .text = chunk.text});
    if (!given.passages.empty()) items.push_back(std::move(given));
  }
  return items;
}

Results EvaluateGivenSource(Workspace& workspace, const ArmConfig& arm, const Control& control) {
  std::vector<Sample> samples = AnswerItems(workspace, arm, nullptr, WithTheirSource(workspace), control);
  for (Sample& sample : samples) sample.slice = kRetrievalSlice;
  Results results;
  results.rows = RowsOf(workspace, samples, "right_given_source");
  return results;
}

// Whether its adapter was trained when the documents had been updated: it was not there before.
bool IsOfAfter(const Config& config, const ArmConfig& arm) {
  const AdapterConfig* adapter = FindAdapter(config, arm.adapter);
  return adapter != nullptr && adapter->after_update;
}

std::vector<Item> ItemsBefore(const Workspace& workspace) {
  return workspace.config.data.documents_update.empty() ? std::vector<Item>() : BeforeUpdate(workspace.eval);
}

}  // namespace

std::vector<Row> RowsBeforeUpdate(const Workspace& workspace) {
  std::vector<Row> rows;
  const std::vector<Item> items = ItemsBefore(workspace);
  if (items.empty()) return rows;
  for (const ArmConfig& arm : workspace.config.arms) {
    if (arm.prompting == Prompting::kRag || !arm.replica_of.empty() || IsOfAfter(workspace.config, arm)) continue;
    std::vector<Sample> then;
    for (Sample& sample : ReadSamples(workspace.root / "samples" / SamplesFileName(arm.name))) {
      const auto item = std::ranges::find(items, sample.item, &Item::id);
      if (item == items.end()) continue;
      sample.scores = ScoreAnswer({.item = *item, .output = sample.output, .refusals = {}});
      then.push_back(std::move(sample));
    }
    for (Row& row : RowsOf(workspace, then, kBeforeMetric)) rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Stage> ControlStages(Workspace& workspace) {
  const Config& config = workspace.config;
  const bool updated = !ItemsBefore(workspace).empty();
  const bool named = !workspace.CurrentDocuments().empty() && !WithTheirSource(workspace).empty();
  std::vector<Stage> stages;
  const std::vector<Stage> evaluations = EvaluateStages(workspace);  // one for each arm
  for (size_t i = 0; i < evaluations.size(); ++i) {
    const ArmConfig& arm = config.arms[i];
    if (arm.prompting != Prompting::kRag || !arm.replica_of.empty()) continue;
    const auto add = [&](const std::string& name, Json inputs,
                         Results (*evaluate)(Workspace&, const ArmConfig&, const Control&)) {
      const Control control{.label = fmt::format("{}, {}", name, arm.name), .inputs = std::move(inputs)};
      stages.push_back({.name = fmt::format("{}: {}", name, arm.name),
                        .label = control.label,
                        .inputs = control.inputs,
                        .outputs = {},
                        .run = [&workspace, arm, evaluate, control] { return evaluate(workspace, arm, control); }});
    };
    if (updated && !IsOfAfter(config, arm)) {
      Json inputs = evaluations[i].inputs;
      inputs["documents_before"] = DocumentsHash(config, config.data.documents);
      add("before the update", std::move(inputs), EvaluateBefore);
    }
    if (named) add("the right passage", evaluations[i].inputs, EvaluateGivenSource);
  }
  return stages;
}

}  // namespace qad

// The stages that say what an arm's score means: what it was worth before the documents' update, and what it makes of
// the right passage.
#include <fmt/format.h>

#include <algorithm>

#include "evaluate/before_update.h"
#include "experiment/evaluate_arm.h"
#include "experiment/stages.h"
#include "results/statistics.h"

namespace qad {
namespace {

// The rows of one metric, under another name.
Results RowsOf(const Workspace& workspace, const std::vector<Sample>& samples, const char* metric, const char* name) {
  Results results;
  for (Row& row : SummarizeSamples(samples, workspace.config.eval.confidence, workspace.config.eval.bootstrap,
                                   workspace.config.seed)) {
    if (row.metric != metric) continue;
    row.metric = name;
    results.rows.push_back(std::move(row));
  }
  return results;
}

Results EvaluateBefore(Workspace& workspace, const ArmConfig& arm) {
  const std::unique_ptr<Index> index = OpenEarlierIndex(workspace);
  const std::vector<Item> items = BeforeUpdate(workspace.eval);
  const std::vector<Sample> samples = AnswerItems(workspace, arm, index.get(), items, "before the update, " + arm.name);
  return RowsOf(workspace, samples, "contains", kBeforeMetric);
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

Results EvaluateGivenSource(Workspace& workspace, const ArmConfig& arm) {
  std::vector<Sample> samples =
      AnswerItems(workspace, arm, nullptr, WithTheirSource(workspace), "the right passage, " + arm.name);
  for (Sample& sample : samples) sample.slice = kRetrievalSlice;
  return RowsOf(workspace, samples, "contains", "right_given_source");
}

}  // namespace

std::vector<Stage> ControlStages(Workspace& workspace) {
  const Config& config = workspace.config;
  const bool updated = !config.data.documents_update.empty() && !BeforeUpdate(workspace.eval).empty();
  const bool named = !workspace.CurrentDocuments().empty() && !WithTheirSource(workspace).empty();
  std::vector<Stage> stages;
  const std::vector<Stage> evaluations = EvaluateStages(workspace);  // one for each arm
  for (size_t i = 0; i < evaluations.size(); ++i) {
    const ArmConfig& arm = config.arms[i];
    if (arm.prompting != Prompting::kRag) continue;
    const auto add = [&](const std::string& name, Results (*evaluate)(Workspace&, const ArmConfig&)) -> Stage& {
      return stages.emplace_back(Stage{.name = fmt::format("{}: {}", name, arm.name),
                                       .label = fmt::format("{}, {}", name, arm.name),
                                       .inputs = evaluations[i].inputs,
                                       .outputs = {},
                                       .run = [&workspace, arm, evaluate] { return evaluate(workspace, arm); }});
    };
    const auto adapter = std::ranges::find(config.adapters, arm.adapter, &AdapterConfig::name);
    const bool after = adapter != config.adapters.end() && adapter->after_update;  // was not there before
    if (updated && !after)
      add("before the update", EvaluateBefore).inputs["documents_before"] =
          DocumentsHash(config, config.data.documents);
    if (named) add("the right passage", EvaluateGivenSource);
  }
  return stages;
}

}  // namespace qad

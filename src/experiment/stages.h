// The stages of one experiment. Each looks into the cache first, does its work where its inputs are new, and yields
// rows.
#pragma once

#include <string>
#include <vector>

#include "experiment/prompts.h"
#include "experiment/workspace.h"
#include "results/results.h"

namespace qad {

// A stage with what it depends on; nothing is done until Run.
struct Stage {
  std::string name;   // "eval: base + few-shot"; also its place in the cache
  std::string label;  // what `qad run` prints
  Json inputs;
  std::vector<std::filesystem::path> outputs;  // files it writes
  std::function<Results()> run;
  bool of_every_run = false;  // a run that is cut finds the same, and shares it
};

// The stage's results where it was run before.
std::optional<Results> FindStage(const Workspace& workspace, const Stage& stage);
// The stage's results, from the cache where they are there.
Results RunStage(const Workspace& workspace, const Stage& stage);

// Makes the quantized weights that arms need.
std::vector<Stage> QuantizeStages(Workspace& workspace);
// What cannot be made is found before anything is trained. Errors: as RequireGroupsFit, RequireBudget, DenseConfig,
// RequireReplaceable.
void RequireMakeable(const Workspace& workspace);
std::vector<Stage> TrainStages(Workspace& workspace);
// Writes adapters as GGUF files for the arms that have them on one.
std::vector<Stage> ExportStages(Workspace& workspace);
Stage IndexStage(Workspace& workspace);
// Of their chunks: what an index over them holds.
std::string DocumentsHash(const Config& config, const std::vector<std::filesystem::path>& documents);
// Samples land in samples/<arm>.jsonl.
std::vector<Stage> EvaluateStages(Workspace& workspace);
// The forms of arms and eval.text_only in which an adapter is served otherwise than it was trained: KL divergence, same
// top-1 and what the right answers lose in likelihood, from the adapter as it was trained (evaluate/parity.h).
std::vector<Stage> ParityStages(Workspace& workspace);
// Controls of arms that look things up: the documents before their update and what was right then (kBeforeMetric of the
// slices), and the passages of the source that an item names instead of those found (right_given_source).
std::vector<Stage> ControlStages(Workspace& workspace);
// The same of all other arms but those trained after the update: nothing is asked again, because they answer as they
// did then; their samples are scored by what was right.
std::vector<Row> RowsBeforeUpdate(const Workspace& workspace);
Stage BaselineStage(Workspace& workspace);
// Perplexity on general text, KL divergence and same top-1 against the base, for every set of weights and adapter.
std::vector<Stage> TextStages(Workspace& workspace);
// The choices of data.zero_shot, asked of the base and of every adapter as it was trained; samples land in
// zero-shot/<arm>.jsonl.
std::vector<Stage> ZeroShotStages(Workspace& workspace);
// What each adapter does better or worse on them than the base, paired by item: choice_difference.
std::vector<Row> RowsOfForgetting(const Workspace& workspace);
inline constexpr int kAnswerTokens = 32;  // fixed output length of the latency measurement
// Interleaved rounds over all arms: latencies of each, prefill and decode of each set of weights and adapter.
Stage SpeedStage(Workspace& workspace);
// Each arm in a process of its own: resident weights, cache, workspace and peak, each predicted and measured.
std::vector<Stage> MemoryStages(Workspace& workspace);

// What made weights depend on.
Json WeightsInputs(const Workspace& workspace, const WeightsRecipe& recipe);
// Hashes of an adapter's files.
Json AdapterInputs(const Workspace& workspace, const std::string& adapter);
// What answers of the arm depend on, beside the items that are asked.
Json AnswerInputs(Workspace& workspace, const ArmConfig& arm);
// The arm's model with its adapter; of an endpoint's the base, whose tokenizer says what fits. Errors: as LoadModel,
// LoraAdapter; kInput, the adapter was not trained yet.
Model& ModelOf(Workspace& workspace, const ArmConfig& arm);
// Errors (kUsage): the arm's weights with an adapter in them, or the adapter's GGUF file, were not made yet, or of
// another training than the one that is there now.
void RequireMade(Workspace& workspace, const ArmConfig& arm);
// Errors: as Endpoint::Ask, of the first one that is still to be asked and does not answer.
void RequireEndpoints(Workspace& workspace);
// What of an arm's weights and adapter decides its outputs, for the inputs of stages.
Json ArmInputs(const Workspace& workspace, const ArmConfig& arm);
// SummarizeSamples with the configuration's confidence, bootstrap and seed.
std::vector<Row> Summarize(const Workspace& workspace, const std::vector<Sample>& samples);
// A row without an interval.
Row Measured(const std::string& arm, std::string_view slice, const std::string& metric, double value, int64_t n = 1);
ArmInfo Describe(const Workspace& workspace, const ArmConfig& arm);

}  // namespace qad

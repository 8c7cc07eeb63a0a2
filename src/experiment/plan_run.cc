// `qad run --dry-run`: what the loop will take, from lengths of real prompts and a second of measured speed.
#include <algorithm>
#include <chrono>

#include "adapt/lora.h"
#include "base/files.h"
#include "base/process.h"
#include "evaluate/speed.h"
#include "experiment/leak_guard.h"
#include "experiment/power.h"
#include "experiment/run.h"
#include "experiment/stages.h"

namespace qad {
namespace {

// Training goes at about this share of prefill's tokens per second, or quicker where sequences begin alike.
constexpr double kTrainingShare = 0.3;
constexpr double kBatchGain = 4;  // batched decode over single-stream decode

struct Rates {
  double prefill, decode;
};

Rates MeasureRates(Workspace& workspace) {
  Model& model = workspace.models.Get("bf16");
  const size_t positions = model.config().max_positions;
  const std::vector<BenchRow> rows =
      Bench(workspace.context, model.transformer,
            {.prompt = std::min<size_t>(256, positions), .generate = 16, .batch = 1, .repetitions = 1});
  return {rows[0].median_ts, rows[1].median_ts};
}

double TokensOf(const Model& model, const std::vector<Item>& items) {
  double tokens = 0;
  for (const Item& item : items) {
    tokens += static_cast<double>(model.tokenizer.Encode(item.completion).size());
    for (const Message& message : item.messages)
      tokens += static_cast<double>(model.tokenizer.Encode(message.content).size());
  }
  return tokens;
}

// Tokens that the arm's prompting puts before each item.
double AddedTokens(const Workspace& workspace, const Model& model, const ArmConfig& arm) {
  const Config& config = workspace.config;
  if (arm.prompting == Prompting::kFewShot) {
    double tokens = 0;
    const auto count = config.few_shot.examples;
    size_t kinds = 0;
    for (const bool with_schema : {true, false}) {
      const std::vector<Item> shots = ChooseShots(workspace.train, with_schema, count, config.seed);
      if (!shots.empty()) ++kinds;
      tokens += TokensOf(model, shots);
    }
    return kinds > 0 ? tokens / static_cast<double>(kinds) : 0;
  }
  constexpr double kTokensPerWord = 1.4;  // chunks are counted in words, and are mostly shorter than allowed
  return arm.prompting == Prompting::kRag ? config.rag.top_k * config.rag.chunk_tokens * kTokensPerWord / 2 : 0;
}

// Calibration goes forward through the model, in f32 and with second moments, a few times; solving takes as long for
// each weight, and a search measures all types and makes a file.
double CalibratedSeconds(const Workspace& workspace, const WeightsRecipe& recipe, const Model& model, double prefill) {
  constexpr double kPasses = 3, kSolvedPerSecond = 6e6, kMeasure = 3, kTrials = 5;
  const QuantizeConfig& quantize = workspace.config.quantize;
  const auto parameters = static_cast<double>(model.weights().plan().parameters());
  double length = quantize.length;
  if (quantize.calibration == workspace.config.data.train)
    length = std::min(length, TokensOf(model, workspace.train) / static_cast<double>(workspace.train.size()));
  const double one = kPasses * quantize.samples * length / prefill + parameters / kSolvedPerSecond;
  if (recipe.kind != WeightsRecipe::Kind::kAuto) return one;
  return (kMeasure + (recipe.budget > 0 ? 1 : kTrials)) * one;
}

// A sample of the chunks is embedded; words are indexed in next to no time.
double IndexSeconds(Workspace& workspace) {
  constexpr size_t kSample = 32;
  constexpr double kWords = 1, kChunksPerSecond = 1e4;
  const std::vector<Chunk> chunks =
      ChunkDocuments(workspace.CurrentDocuments(), workspace.config.rag.chunk_tokens, CountWords);
  const double words = kWords + static_cast<double>(chunks.size()) / kChunksPerSecond;
  const Embedder* embedder = workspace.DocumentEmbedder();
  if (embedder == nullptr || chunks.empty()) return words;
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(kSample, chunks.size()); ++i)
    texts.push_back(chunks[i * chunks.size() / std::min(kSample, chunks.size())].text);
  std::vector<float> vectors(texts.size() * embedder->width);
  const auto start = std::chrono::steady_clock::now();
  embedder->embed(texts, vectors.data());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return words + seconds * static_cast<double>(chunks.size()) / static_cast<double>(texts.size());
}

// At most. A search has its best file and a further one beside each other.
double ArtefactBytes(const WeightsRecipe& recipe, double parameters) {
  constexpr double kDense = 2, kCoded = 1.2;  // bytes of a weight
  if (recipe.kind == WeightsRecipe::Kind::kAuto)
    return recipe.budget > 0 ? static_cast<double>(recipe.budget) : 2 * kDense * parameters;
  if (recipe.kind == WeightsRecipe::Kind::kGguf)
    return (GetFormat(recipe.type->format).BitsPerWeight() / 8 + 0.1) * parameters;
  return kCoded * parameters;
}

// What would stop the run, or mark its pack, later on.
void CheckBeforehand(Workspace& workspace) {
  RequireCreatable(workspace.root);
  RequireEndpoints(workspace);
  RequireCleanCalibration(workspace);
  RequireMakeable(workspace);
  const Model& model = workspace.models.Get("bf16");
  for (const AdapterConfig& adapter : workspace.config.adapters)
    SelectSites(model.transformer, adapter.lora.target_modules);
}

}  // namespace

Json PlanRun(Workspace& workspace) {
  CheckBeforehand(workspace);
  const Json leaks = LeaksJson(workspace);
  const Rates rates = MeasureRates(workspace);
  const Model& model = workspace.models.Get("bf16");
  const double eval_tokens = TokensOf(model, workspace.eval);
  const double arms = static_cast<double>(workspace.config.arms.size());
  Json stages = Json::array();
  double total = 0;
  const auto add = [&](const Stage& stage, double seconds) {
    const bool done = FindStage(workspace, stage).has_value();
    if (!done) total += seconds;
    stages.push_back({{"stage", stage.label}, {"seconds", done ? 0 : seconds}, {"done", done}});
  };
  const double weights = static_cast<double>(model.weights().allocated_bytes());
  size_t adapter = 0;
  for (const Stage& stage : TrainStages(workspace)) {
    const AdapterConfig& config = workspace.config.adapters[adapter++];
    const std::vector<Item> items = config.data == workspace.config.data.train
                                        ? workspace.train
                                        : TakeInTurn(LoadDataset(config.data), workspace.scope.max_train_samples);
    const double dev = static_cast<double>(workspace.dev.empty() ? items.size() : workspace.dev.size()) *
                       (workspace.dev.empty() ? config.train.dev_fraction : 1);
    add(stage, TokensOf(model, items) * config.train.epochs / (rates.prefill * kTrainingShare) +
                   config.train.epochs * dev * workspace.config.eval.max_new_tokens / 2 / (rates.decode * kBatchGain));
  }
  const auto parameters = static_cast<double>(model.weights().plan().parameters());
  double artefacts = 0;
  size_t made = 0;
  const std::vector<WeightsRecipe> recipes = MadeWeights(workspace.config);
  for (const Stage& stage : QuantizeStages(workspace)) {  // one for each recipe
    const WeightsRecipe& recipe = recipes[made++];
    add(stage, recipe.calibrated() ? CalibratedSeconds(workspace, recipe, model, rates.prefill) : weights / 1e8);
    artefacts += ArtefactBytes(recipe, parameters);
  }
  if (!workspace.CurrentDocuments().empty()) add(IndexStage(workspace), IndexSeconds(workspace));
  const auto items = static_cast<double>(workspace.eval.size());
  size_t arm = 0;
  for (Stage& stage : EvaluateStages(workspace)) {  // one for each arm, prompts twice: to answer and to score
    const ArmConfig& config = workspace.config.arms[arm++];
    const double prompts = eval_tokens + items * AddedTokens(workspace, model, config);
    if (config.endpoint) stage.label += " (as fast as here, if it is)";
    add(stage,
        2 * prompts / rates.prefill + items * workspace.config.eval.max_new_tokens / 2 / (rates.decode * kBatchGain));
  }
  for (const Stage& stage : ControlStages(workspace))
    add(stage,
        items * (2 * 300 / rates.prefill + workspace.config.eval.max_new_tokens / 2 / (rates.decode * kBatchGain)));
  add(BaselineStage(workspace), 1);
  for (const Stage& stage : TextStages(workspace)) add(stage, 2 * 4096 / rates.prefill + 2);
  const double latency = 3 * (200 / rates.prefill + 32 / rates.decode) + 2 * (512 / rates.prefill + 64 / rates.decode);
  const double rounds = workspace.scope.partial() ? 1 : workspace.config.eval.repetitions;
  add(SpeedStage(workspace), arms * rounds * latency);
  for (const Stage& stage : MemoryStages(workspace)) add(stage, 3);
  // Samples, adapters and pages, some of which grow with the arms.
  constexpr double kPackBytes = 4e6;
  return {{"stages", stages},
          {"seconds", total},
          {"memory_bytes", 3 * weights + static_cast<double>(CurrentRssBytes())},
          {"disk_bytes", artefacts + kPackBytes * arms},
          {"leaks", leaks},
          {"power", PowerStatement(workspace.config, workspace.eval)},
          {"output", workspace.root.string()}};
}

}  // namespace qad

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
constexpr double kChoiceSeconds = 0.03;  // a prompt with its few choices, one by one
constexpr double kBatchGain = 4;         // batched decode over single-stream decode

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
  return (recipe.kind == WeightsRecipe::Kind::kMerged ? kDense : kCoded) * parameters;
}

// What would stop the run, or mark its pack, later on.
void CheckBeforehand(Workspace& workspace) {
  RequireCreatable(workspace.root);
  RequireEndpoints(workspace);
  RequireCleanCalibration(workspace);
  RequireMakeable(workspace);
  const Model& model = workspace.models.Get("bf16");
  for (const AdapterConfig& adapter : workspace.config.adapters) LoraAdapter(model.transformer, adapter.lora, 0);
}

// What the stages of a run would take.
class RunPlan {
 public:
  explicit RunPlan(Workspace& workspace)
      : workspace_(workspace),
        rates_(MeasureRates(workspace)),
        model_(workspace.models.Get("bf16")),
        items_(static_cast<double>(workspace.eval.size())) {
    Train();
    Quantize();
    if (!workspace.CurrentDocuments().empty()) Add(IndexStage(workspace), IndexSeconds(workspace));
    Evaluate();
    Add(BaselineStage(workspace), 1);
    for (const Stage& stage : ExportStages(workspace)) Add(stage, 1);
    // Both forms, each with prompts and answers.
    for (const Stage& stage : ParityStages(workspace))
      Add(stage, 2 * TokensOf(model_, workspace.eval) / rates_.prefill);
    for (const Stage& stage : TextStages(workspace)) Add(stage, 2 * 4096 / rates_.prefill + 2);
    const double latency =
        3 * (200 / rates_.prefill + 32 / rates_.decode) + 2 * (512 / rates_.prefill + 64 / rates_.decode);
    const double rounds = workspace.scope.partial() ? 1 : workspace.config.eval.repetitions;
    for (const Stage& stage : ZeroShotStages(workspace))
      Add(stage, static_cast<double>(workspace.zero_shot.size()) * kChoiceSeconds);
    Add(SpeedStage(workspace), arms() * rounds * latency);
    for (const Stage& stage : MemoryStages(workspace)) Add(stage, 3);
  }

  const Json& stages() const { return stages_; }
  double seconds() const { return seconds_; }
  double memory_bytes() const { return 3 * weights() + static_cast<double>(CurrentRssBytes()); }
  double disk_bytes() const {
    constexpr double kPackBytes = 4e6;  // samples, adapters and pages, some of which grow with the arms
    return artefacts_ + kPackBytes * arms();
  }

 private:
  double arms() const {
    return static_cast<double>(
        std::ranges::count_if(workspace_.config.arms, [](const ArmConfig& arm) { return arm.replica_of.empty(); }));
  }
  double weights() const { return static_cast<double>(model_.weights().allocated_bytes()); }

  void Add(const Stage& stage, double seconds) {
    const bool done = FindStage(workspace_, stage).has_value();
    if (!done) seconds_ += seconds;
    stages_.push_back({{"stage", stage.label}, {"seconds", done ? 0 : seconds}, {"done", done}});
  }

  // Answers to so many items, which are half as long as they may be.
  double Answers(double items) const {
    return items * workspace_.config.eval.max_new_tokens / 2 / (rates_.decode * kBatchGain);
  }

  void Train() {
    size_t adapter = 0;
    for (const Stage& stage : TrainStages(workspace_)) {  // one for each adapter
      const AdapterConfig& config = workspace_.config.adapters[adapter++];
      const std::vector<Item> items = config.data == workspace_.config.data.train
                                          ? workspace_.train
                                          : TakeInTurn(LoadDataset(config.data), workspace_.scope.max_train_samples);
      const double dev = static_cast<double>(workspace_.dev.empty() ? items.size() : workspace_.dev.size()) *
                         (workspace_.dev.empty() ? config.train.dev_fraction : 1);
      Add(stage, TokensOf(model_, items) * config.train.epochs / (rates_.prefill * kTrainingShare) +
                     config.train.epochs * Answers(dev));
    }
  }

  void Quantize() {
    const auto parameters = static_cast<double>(model_.weights().plan().parameters());
    size_t made = 0;
    const std::vector<WeightsRecipe> recipes = MadeWeights(workspace_.config);
    for (const Stage& stage : QuantizeStages(workspace_)) {  // one for each recipe
      const WeightsRecipe& recipe = recipes[made++];
      Add(stage, recipe.calibrated() ? CalibratedSeconds(workspace_, recipe, model_, rates_.prefill) : weights() / 1e8);
      artefacts_ += ArtefactBytes(recipe, parameters);
    }
  }

  void Evaluate() {
    const double asked = TokensOf(model_, workspace_.eval);
    size_t arm = 0;
    for (Stage& stage : EvaluateStages(workspace_)) {  // one for each arm, prompts twice: to answer and to score
      const ArmConfig& config = workspace_.config.arms[arm++];
      const double prompts = asked + items_ * AddedTokens(workspace_, model_, config);
      if (config.endpoint) stage.label += " (as fast as here, if it is)";
      Add(stage, 2 * prompts / rates_.prefill + Answers(items_));
    }
    constexpr double kPrompt = 300;  // tokens of a question with passages
    for (const Stage& stage : ControlStages(workspace_))
      Add(stage, items_ * 2 * kPrompt / rates_.prefill + Answers(items_));
  }

  Workspace& workspace_;
  Rates rates_;
  const Model& model_;
  double items_, seconds_ = 0, artefacts_ = 0;
  Json stages_ = Json::array();
};

}  // namespace

Json PlanRun(Workspace& workspace) {
  CheckBeforehand(workspace);
  const Json leaks = LeaksJson(workspace);
  const RunPlan plan(workspace);
  return {{"stages", plan.stages()},
          {"seconds", plan.seconds()},
          {"memory_bytes", plan.memory_bytes()},
          {"disk_bytes", plan.disk_bytes()},
          {"leaks", leaks},
          {"power", PowerStatement(workspace.config, workspace.eval)},
          {"output", workspace.root.string()}};
}

}  // namespace qad

// The stages that time and weigh: interleaved rounds of speed, and each arm's memory in a process of its own.
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "base/process.h"
#include "base/progress.h"
#include "evaluate/speed.h"
#include "experiment/child.h"
#include "experiment/stages.h"
#include "experiment/training_query.h"
#include "io/peft.h"
#include "memory/estimate.h"
#include "ops/ceilings.h"
#include "results/statistics.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kPrefillTokens = 512, kDecodeTokens = 64;
constexpr int kTimedPrompts = 10;  // of an arm, at even steps of its prompt lengths

// What makes an arm's prompts, and those items whose prompts are at fixed quantiles of length.
struct TimedArm {
  std::unique_ptr<Index> index;  // null where nothing is looked up
  std::unique_ptr<PromptMaker> maker;
  std::vector<const Item*> items;  // none where the model is never asked
  size_t longest = 0;              // tokens of a prompt
};

TimedArm ChooseItems(Workspace& workspace, const ArmConfig& arm) {
  TimedArm chosen;
  if (arm.prompting == Prompting::kRag) chosen.index = OpenIndex(workspace, false, nullptr);
  chosen.maker = std::make_unique<PromptMaker>(workspace, chosen.index.get());
  const Model& model = ModelOf(workspace, arm);
  const auto answer = static_cast<size_t>(std::max(kAnswerTokens, workspace.config.eval.max_new_tokens));
  const size_t positions = model.config().max_positions, limit = positions > answer ? positions - answer : 0;
  std::vector<std::pair<size_t, const Item*>> all;
  bool refuses = false;
  for (const Item& item : workspace.eval) {
    const Prompt prompt = chosen.maker->Make(model, arm, item);
    const size_t tokens = prompt.tokens.size();
    refuses = refuses || prompt.nothing_found;
    if (tokens > 0 && !prompt.nothing_found && !(arm.endpoint && prompt.messages.empty()) &&
        tokens <= std::min<size_t>(limit, static_cast<size_t>(workspace.config.data.max_length)))
      all.emplace_back(tokens, &item);
  }
  if (all.empty() && refuses) return chosen;  // it refuses whatever fits: there is nothing to be timed
  if (all.empty()) FailInput("arm {}: no prompt is short enough to be timed", arm.name);
  std::ranges::stable_sort(all, {}, &std::pair<size_t, const Item*>::first);
  chosen.longest = all.back().first;
  for (int i = 0; i < kTimedPrompts; ++i) {
    const double q = (i + 0.5) / kTimedPrompts;
    chosen.items.push_back(all[static_cast<size_t>(q * static_cast<double>(all.size()))].second);
  }
  return chosen;
}

// All measurements of one arm, one inner list a round.
struct Rounds {
  std::vector<std::vector<double>> first_token, total, prefill, decode;
};

// The median over rounds of each round's quantile; least and greatest beside it.
Row SpeedRow(const std::string& arm, const std::string& metric, const std::vector<std::vector<double>>& rounds,
             double quantile) {
  std::vector<double> by_round;
  int64_t n = 0;
  for (const std::vector<double>& round : rounds) {
    by_round.push_back(Quantile(round, quantile));
    n += static_cast<int64_t>(round.size());
  }
  Row row = Measured(arm, kSpeedSlice, metric, Quantile(by_round, 0.5), n);
  if (by_round.size() > 1) {
    row.low = *std::ranges::min_element(by_round);
    row.high = *std::ranges::max_element(by_round);
  }
  return row;
}

// From the question on: what is looked up, and how, is part of it. An endpoint makes its answers as long as it likes,
// up to the length of the others.
void MeasureAnswers(Workspace& workspace, const ArmConfig& arm, const TimedArm& timed, Rounds& rounds) {
  Model& model = ModelOf(workspace, arm);
  std::unique_ptr<Endpoint> endpoint;
  if (arm.endpoint) endpoint = std::make_unique<Endpoint>(arm.endpoint->options);
  auto& first = rounds.first_token.emplace_back();
  auto& total = rounds.total.emplace_back();
  for (const Item* item : timed.items) {
    const auto start = std::chrono::steady_clock::now();
    const Prompt prompt = timed.maker->Make(model, arm, *item);
    const double before = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    Latency latency;
    if (endpoint != nullptr) {
      const EndpointAnswer answer = endpoint->Ask(prompt.messages, kAnswerTokens, 0, 0);
      latency = {.first_token_seconds = answer.first_token_seconds, .seconds = answer.seconds};
    } else {
      latency = MeasureLatency(workspace.context, model.transformer, model.tokenizer, prompt.tokens, kAnswerTokens);
    }
    first.push_back(before + latency.first_token_seconds);
    total.push_back(before + latency.seconds);
  }
}

void MeasureRound(Workspace& workspace, const ArmConfig& arm, const TimedArm& timed, Rounds& rounds) {
  MeasureAnswers(workspace, arm, timed, rounds);
  if (arm.endpoint) return;
  Model& model = ModelOf(workspace, arm);
  const size_t positions = model.config().max_positions;
  const BenchOptions bench{.prompt = std::min(kPrefillTokens, positions),
                           .generate = std::min(kDecodeTokens, positions),
                           .batch = 1,
                           .repetitions = 1,
                           .depth = 0,
                           .kv_type = FormatId::kF16};
  const std::vector<BenchRow> rows = Bench(workspace.context, model.transformer, bench);
  rounds.prefill.push_back({rows[0].median_ts});
  rounds.decode.push_back({rows[1].median_ts});
}

double LoadAverage() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : -1;
}

// What the machine could do, beside what the arms did: reading a buffer of the weights' size, and dense products of the
// quickest kind.
Json CeilingsJson(Workspace& workspace) {
  const uint64_t weights = PlanOf(OpenModel(workspace.model_path), WeightMode::kAsStored).weight_bytes();
  const Ceilings ceilings = MeasureCeilings(workspace.context, weights);
  return {{"gigabytes_per_second", ceilings.gigabytes_per_second},
          {"teraflops", 1e-3 * *std::ranges::max_element(ceilings.gigaflops)}};
}

Results MeasureSpeed(Workspace& workspace) {
  // Another seed is neither faster nor larger.
  std::vector<ArmConfig> arms = workspace.config.arms;
  std::erase_if(arms, [](const ArmConfig& arm) { return !arm.replica_of.empty(); });
  std::vector<TimedArm> timed;
  for (const ArmConfig& arm : arms) timed.push_back(ChooseItems(workspace, arm));
  Results results;
  results.manifest["load_before"] = LoadAverage();
  std::vector<Rounds> measured(arms.size());
  const int repetitions = workspace.scope.partial() ? 1 : workspace.config.eval.repetitions;
  Progress progress("time all arms in turn", static_cast<double>(repetitions) * static_cast<double>(arms.size()),
                    "arms", workspace.quiet);
  for (int round = 0; round < repetitions; ++round) {
    for (size_t i = 0; i < arms.size(); ++i) {
      if (!timed[i].items.empty()) MeasureRound(workspace, arms[i], timed[i], measured[i]);
      progress.Advance(1);
    }
  }
  results.manifest["load_after"] = LoadAverage();
  results.manifest["ceilings"] = CeilingsJson(workspace);
  for (size_t i = 0; i < arms.size(); ++i) {
    const std::string& name = arms[i].name;
    if (timed[i].items.empty()) continue;
    if (!arms[i].endpoint) {
      results.rows.push_back(SpeedRow(name, "prefill_tokens_per_second", measured[i].prefill, 0.5));
      results.rows.push_back(SpeedRow(name, "decode_tokens_per_second", measured[i].decode, 0.5));
    }
    results.rows.push_back(SpeedRow(name, "ttft_p50", measured[i].first_token, 0.5));
    results.rows.push_back(SpeedRow(name, "ttft_p95", measured[i].first_token, 0.95));
    results.rows.push_back(SpeedRow(name, "latency_p50", measured[i].total, 0.5));
    results.rows.push_back(SpeedRow(name, "latency_p95", measured[i].total, 0.95));
  }
  timed.clear();  // their indices search with the models' embedder
  workspace.FreeModels();
  return results;
}

// A model's weight files.
double WeightFileBytes(const fs::path& model) {
  if (!fs::is_directory(model)) return static_cast<double>(fs::file_size(model));
  double bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(model))
    if (entry.path().extension() == ".safetensors") bytes += static_cast<double>(entry.file_size());
  return bytes;
}

// All that an arm is read from.
double DiskBytes(const Workspace& workspace, const ArmConfig& arm) {
  double bytes = WeightFileBytes(ResolveModel(workspace.models.SourceOf(arm.weights)));
  if (const fs::path adapter = workspace.AttachedAdapter(arm); !adapter.empty()) bytes += WeightFileBytes(adapter);
  if (arm.prompting != Prompting::kRag) return bytes;
  bytes += static_cast<double>(fs::file_size(IndexPath(workspace.config)));
  if (workspace.DocumentRetriever() == Retriever::kBm25) return bytes;
  return bytes + WeightFileBytes(ResolveModel(workspace.config.rag.embedder));
}

constexpr size_t kGenerated = 8;  // tokens of an answer that are really generated; the rest are run as a prompt's

// What measures it, in a process of its own.
std::vector<std::string> BenchWords(const Workspace& workspace, const ArmConfig& arm, size_t prompt, size_t answer) {
  const size_t timed = std::min(answer, kGenerated);
  std::vector<std::string> words{"bench",
                                 "--no-ceilings",
                                 workspace.models.SourceOf(arm.weights),
                                 "--format",
                                 ModelPool::FormatOf(arm.weights),
                                 "--prompt",
                                 std::to_string(prompt),
                                 "--generate",
                                 std::to_string(timed),
                                 "--depth",
                                 std::to_string(prompt + answer - timed),
                                 "--repetitions",
                                 "1",
                                 "--threads",
                                 std::to_string(workspace.context.threads)};
  const auto& rag = workspace.config.rag;
  if (const fs::path adapter = workspace.AttachedAdapter(arm); !adapter.empty())
    words.insert(words.end(), {"--adapter", adapter.string()});
  if (arm.prompting == Prompting::kRag)
    words.insert(words.end(), {"--index", IndexPath(workspace.config).string(), "--retriever", rag.retriever,
                               "--embedder", rag.embedder});
  return words;
}

// Of the adapter beside the arm's weights, by its configuration: that of this experiment, or of the one that stands in.
size_t AdapterBytes(const Workspace& workspace, const ArmConfig& arm, const Plan& plan) {
  const fs::path attached = workspace.AttachedAdapter(arm);
  if (attached.empty()) return 0;
  TrainingQuery query = QueryOf(*FindAdapter(workspace.config, arm.adapter));
  if (attached == workspace.scope.adapter_path && fs::is_directory(attached)) {
    const PeftConfig other = ReadPeftConfig(attached);
    query = {.r = other.r, .targets = other.target_modules, .rank_pattern = other.rank_pattern};
  }
  return AdapterOf(plan, query).served_bytes();
}

Results MeasureMemory(Workspace& workspace, const ArmConfig& arm) {
  size_t prompt = 0, chunks = 0, tokenizer = 0;
  {
    const TimedArm timed = ChooseItems(workspace, arm);
    if (timed.items.empty()) return {};
    prompt = timed.longest;
    tokenizer = ModelOf(workspace, arm).tokenizer.bytes();
    if (timed.index != nullptr) chunks = static_cast<size_t>(timed.index->chunks());
  }
  const auto answer = static_cast<size_t>(workspace.config.eval.max_new_tokens);
  workspace.FreeModels();
  const Json document = RunSelf(BenchWords(workspace, arm, prompt, answer));
  const JsonObject memory = JsonObject(document, "qad bench").Object("memory");
  Results results;
  const auto measured = [&](const char* name) { return memory.Number(name, 0, 1e18); };
  const auto add = [&](const char* metric, double value) {
    results.rows.push_back(Measured(arm.name, kMemorySlice, metric, value));
  };
  const Plan plan = PlanOf(OpenModel(ResolveModel(workspace.models.SourceOf(arm.weights))),
                           WeightModeOf(ModelPool::FormatOf(arm.weights)));
  const InferenceParts parts{
      .process = static_cast<uint64_t>(measured("process_bytes")),
      .tokenizer = tokenizer,
      .weights = plan.weight_bytes(),
      .cache = KvBytes(plan.config, prompt + answer, 1, FormatId::kF16),
      .workspace = InferenceBytes(plan.config, prompt + answer - std::min(answer, kGenerated), 1),
      .adapter = AdapterBytes(workspace, arm, plan),
      .retrieval = workspace.DocumentRetriever() == Retriever::kBm25 || chunks == 0
                       ? 0
                       : RetrievalBytes(workspace.config.rag.embedder, chunks)};
  add("context", static_cast<double>(prompt + answer));
  add("disk_bytes", DiskBytes(workspace, arm));
  for (const auto& [name, predicted] :
       {std::pair("tokenizer_bytes", parts.tokenizer), std::pair("weights_bytes", parts.weights),
        std::pair("kv_bytes", parts.cache), std::pair("workspace_bytes", parts.workspace),
        std::pair("adapter_bytes", parts.adapter), std::pair("retrieval_bytes", parts.retrieval),
        std::pair("peak_rss_bytes", parts.resident())}) {
    if (predicted == 0 && measured(name) == 0) continue;
    add(name, measured(name));
    results.rows.push_back(
        Measured(arm.name, kMemorySlice, std::string(name) + "_predicted", static_cast<double>(predicted)));
  }
  add("scratch_bytes", measured("scratch_bytes"));
  add("process_bytes", measured("process_bytes"));
  return results;
}

// Timings depend on the prompts: on all that evaluation depends on.
Json SpeedInputs(Workspace& workspace) {
  Json arms = Json::array();
  for (const Stage& stage : EvaluateStages(workspace)) arms.push_back({{"name", stage.name}, {"inputs", stage.inputs}});
  return {{"arms", arms},
          {"repetitions", workspace.config.eval.repetitions},
          {"threads", workspace.context.threads},
          {"cpu", CpuName()},
          {"partial", workspace.scope.partial()}};
}

}  // namespace

Stage SpeedStage(Workspace& workspace) {
  Stage stage{
      .name = "speed", .label = "time all arms in turn", .inputs = SpeedInputs(workspace), .outputs = {}, .run = {}};
  stage.run = [&workspace] { return MeasureSpeed(workspace); };
  return stage;
}

std::vector<Stage> MemoryStages(Workspace& workspace) {
  std::vector<Stage> stages;
  const Json speed = SpeedInputs(workspace);
  for (const ArmConfig& arm : workspace.config.arms) {
    if (arm.endpoint || !arm.replica_of.empty()) continue;  // its memory is elsewhere, or that of the arm itself
    Stage stage{.name = "memory: " + arm.name,
                .label = "memory of " + arm.name,
                .inputs = {{"arm", ArmInputs(workspace, arm)},
                           {"speed", speed},
                           {"max_new_tokens", workspace.config.eval.max_new_tokens},
                           {"max_eval_samples", workspace.scope.max_eval_samples}},
                .outputs = {},
                .run = {}};
    stage.run = [&workspace, arm] { return MeasureMemory(workspace, arm); };
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace qad

#include "memory/memory_math.h"

#include <algorithm>

#include "base/capped.h"
#include "base/error.h"
#include "base/progress.h"

namespace qad {
namespace {

constexpr uint64_t kShortestContext = 512;

std::vector<uint64_t> ContextsOf(const ModelConfig& config, const MemoryQuery& query) {
  if (!query.contexts.empty()) return query.contexts;
  std::vector<uint64_t> contexts;
  for (uint64_t n = kShortestContext; n < config.max_positions; n *= 2) contexts.push_back(n);
  contexts.push_back(config.max_positions);
  return contexts;
}

void AddAllotments(const ModelConfig& config, const MemoryQuery& query, KvMath& kv) {
  const uint64_t context = CaseContext(config, query);
  const KvCase asked{.context = context,
                     .batch = query.allotted_batch,
                     .tokens = query.allotted_tokens > 0
                                   ? query.allotted_tokens
                                   : std::max({context / 2, query.shared_prefix.value_or(0), uint64_t{1}}),
                     .prefix = query.shared_prefix.value_or(
                         std::min(context / 8, query.allotted_tokens > 0 ? query.allotted_tokens : context))};
  kv.allotted_context = static_cast<int64_t>(asked.context);
  kv.allotted_batch = static_cast<int64_t>(asked.batch);
  kv.allotted_tokens = static_cast<int64_t>(asked.tokens);
  kv.allotted_prefix = static_cast<int64_t>(asked.prefix);
  kv.allotments = KvAllotments(config, asked, query.kv_types.front());
}

KvMath KeysAndValues(const ModelConfig& config, const MemoryQuery& query) {
  KvMath kv;
  kv.layers = static_cast<int64_t>(config.layers);
  kv.heads = static_cast<int64_t>(config.heads);
  kv.kv_heads = static_cast<int64_t>(config.kv_heads);
  kv.head_dim = static_cast<int64_t>(config.head_dim);
  const FormatId type = query.kv_types.front();
  const Format& format = GetFormat(type);
  kv.type = format.name;
  kv.formula = fmt::format("{} layers × 2 (K and V) × {} KV heads × {} dimensions × {}", kv.layers, kv.kv_heads,
                           kv.head_dim, BytesPerValue(format));
  kv.bytes_per_token = KvBytes(config, 1, 1, type);
  kv.bytes_per_token_without_gqa = KvBytes(config, 1, 1, type, false);
  kv.window = static_cast<int64_t>(config.sliding_window);
  kv.windowed_layers = config.sliding_window > 0 ? kv.layers - static_cast<int64_t>(config.full_layers) : 0;
  AddAllotments(config, query, kv);
  for (const FormatId each : query.kv_types)
    for (const uint64_t batch : query.batches)
      for (const uint64_t context : ContextsOf(config, query))
        kv.points.push_back({.type = std::string(GetFormat(each).name),
                             .context = static_cast<int64_t>(context),
                             .batch = static_cast<int64_t>(batch),
                             .bytes = KvBytes(config, context, batch, each)});
  return kv;
}

// The first context at which the cache takes what the weights do; bytes_at grows with it.
int64_t OutgrowsWeights(const KvMath& kv, uint64_t weights, int64_t positions) {
  const auto below = [&](uint64_t context) { return kv.bytes_at(static_cast<int64_t>(context)) < weights; };
  const auto most = static_cast<uint64_t>(positions);
  return below(most) ? 0 : static_cast<int64_t>(Greatest(most, below) + 1);
}

void AddMachines(const Plan& plan, const std::string& format, const MemoryQuery& query, MemoryMath& math) {
  const uint64_t context = CaseContext(plan.config, query);
  const MachineQuery asked{.plan = &plan,
                           .format = format,
                           .kv_type = query.kv_types.front(),
                           .context = context,
                           .batch = query.batches.front(),
                           .engine = query.engine_bytes()};
  math.case_context = static_cast<int64_t>(context);
  math.case_batch = static_cast<int64_t>(asked.batch);
  for (const Machine& machine : query.machines) math.machines.push_back(FitMachine(machine, asked));
}

std::vector<std::string> Notes(const Plan& plan, const MemoryQuery& query) {
  const ModelConfig& config = plan.config;
  std::vector<std::string> notes = {
      "Sizes are bytes; KiB, MiB and GiB are powers of 1024.",
      "fp16, int8 and int4 are what files would hold: int8 has one f32 scale per output channel; int4 has groups of 32 "
      "weights with an f16 scale and offset (5 bits a weight); embeddings, head, norms and biases stay at 16 bits.",
      "In memory, norms and biases are f32, and each group of tensors is padded to 64 bytes: "
      "this, not the file's size, counts towards the fit.",
      fmt::format(
          "Workspace is one step of at most {} prompt tokens and the logits of each sequence; the operations' own "
          "scratch and the allocator's slack come on top (some MiB).",
          Grouped(StepRows(config))),
      "Pages of the model's file count as resident while it is read; they are dropped after loading and remain in the "
      "system's page cache, which gives them back when memory is short.",
  };
  if (config.sliding_window > 0 && config.sliding_window < config.max_positions)
    notes.push_back(
        fmt::format("A sliding window of {} tokens bounds the KV cache of {} of {} layers, given a runtime that drops "
                    "what has left "
                    "the window.",
                    Grouped(config.sliding_window), config.layers - config.full_layers, config.layers));
  if (!query.machines.empty())
    notes.push_back(
        "Speeds of machines are ceilings: what reading weights and cache once a token, and two operations a weight, "
        "would allow. No runtime reaches them. Machines of the table hold weights as they are stored. Memory is what "
        "the device has, of a Mac what Metal recommends to use at most; the system takes some of a computer's.");
  for (const uint64_t context : query.contexts)
    if (context > config.max_positions) {
      notes.push_back(fmt::format(
          "Contexts beyond {} tokens are extrapolated: the model was not trained for them, and may not answer there.",
          Grouped(config.max_positions)));
      break;
    }
  for (const uint64_t sequence : query.grid.sequences)
    if (sequence > config.max_positions) {
      notes.push_back(
          fmt::format("Training sequences beyond {} tokens are extrapolated: the model has no positions for them.",
                      Grouped(config.max_positions)));
      break;
    }
  if (!config.family->runs)
    notes.push_back(
        fmt::format("Family {} is known for arithmetic only: nothing here was measured.", config.family->name));
  return notes;
}

}  // namespace

uint64_t CaseContext(const ModelConfig& config, const MemoryQuery& query) {
  return query.case_context > 0 ? query.case_context : std::min<uint64_t>(kUsualContext, config.max_positions);
}

MemoryMath MakeMemoryMath(const Plan& plan, const std::string& format, bool stored, const MemoryQuery& query) {
  QAD_CHECK(!query.kv_types.empty() && !query.batches.empty());
  MemoryMath math;
  math.title = query.title;
  math.hardware = !query.hardware.empty() ? query.hardware
                                          : fmt::format("{} of memory for weights, cache and buffers",
                                                        FormatBytes(static_cast<double>(query.budget)));
  math.parameters = plan.parameters();
  math.max_positions = static_cast<int64_t>(plan.config.max_positions);
  math.kv = KeysAndValues(plan.config, query);
  const FormatId kv = query.kv_types.front();
  math.budget = query.budget;
  math.engine = query.engine;
  const uint64_t engine = query.engine_bytes();
  const auto add_fits = [&](const Plan& held, const std::string& name) {
    const uint64_t taken = CappedSum({held.weight_bytes(), engine});
    for (const uint64_t batch : query.batches) {
      math.fits.push_back(Fit(held, name, kv, batch, query.budget, taken));
      math.fits.back().max_batch = FitSequences(held, kv, CaseContext(plan.config, query), query.budget, taken);
    }
  };
  add_fits(plan, format);
  for (const char* name : {"fp16", "int8", "int4"}) {
    const Plan other = PlanInScheme(plan.config, *FindScheme(name));
    math.weights.push_back(StoredWeights(other, name, false));
    if (name != format) add_fits(other, name);
  }
  if (stored) math.weights.push_back(StoredWeights(plan, format, true));
  math.weights.push_back(ResidentWeights(plan, format + " in memory"));
  const uint64_t context = ContextsOf(plan.config, query).back();
  math.workspace_bytes = InferenceBytes(plan.config, context, query.batches.front());
  math.cache_outgrows_weights = OutgrowsWeights(math.kv, plan.weight_bytes(), math.max_positions);
  AddMachines(plan, format, query, math);
  for (const TrainingQuery& each : query.training) math.training.push_back(TrainingOf(plan, format, each));
  math.training_points = TrainingPoints(plan, format, query.grid);
  for (TrainingQuery method : query.grid.methods)
    for (const bool recompute : {false, true}) {
      method.set_recomputes(recompute);
      math.training_fits.push_back(FitTraining(plan, format, method, query.budget, engine));
    }
  math.notes = Notes(plan, query);
  return math;
}

}  // namespace qad

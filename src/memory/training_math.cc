#include "memory/training_math.h"

#include <algorithm>

#include "base/capped.h"
#include "base/error.h"
#include "memory/torch_training.h"
#include "model/targets.h"

namespace qad {
namespace {

std::string TargetsText(const std::vector<std::string>& targets) {
  if (targets == std::vector<std::string>{"all-linear"}) return "all linear layers";
  std::string text;
  for (const std::string& target : targets) text += (text.empty() ? "" : ", ") + target;
  return text;
}

// Linear layers that may take an adapter, and their names.
struct Linears {
  std::vector<const TensorSpec*> specs;
  std::vector<LinearModule> modules;
};

// Linear operations of a block, whose modules are multiplied as one: q, k and v; o; gate and up; down.
int OperationOf(Role role) {
  if (role == Role::kO) return 1;
  if (role == Role::kGate || role == Role::kUp || role == Role::kGateUp) return 2;
  return role == Role::kDown ? 3 : 0;
}

Linears LinearsOf(const Plan& plan) {
  Linears linears;
  for (const TensorSpec& spec : plan.tensors) {
    if (!IsBlockMatrix(spec)) continue;
    linears.specs.push_back(&spec);
    linears.modules.push_back({spec.role, spec.name.substr(0, spec.name.rfind('.'))});
  }
  return linears;
}

}  // namespace

std::vector<const TensorSpec*> AdapterTargets(const Plan& plan, const std::vector<std::string>& targets) {
  const Linears linears = LinearsOf(plan);
  std::vector<const TensorSpec*> chosen;
  for (const size_t place : SelectTargets(linears.modules, targets)) chosen.push_back(linears.specs[place]);
  return chosen;
}

AdapterSize AdapterOf(const Plan& plan, const TrainingQuery& query) {
  const Linears linears = LinearsOf(plan);
  const std::vector<double> ranks = PatternValues(linears.modules, query.rank_pattern, query.r, "lora.rank_pattern");
  AdapterSize size;
  // By operation and layer.
  std::map<int, std::map<int, uint64_t>> by_operation;
  for (const size_t place : SelectTargets(linears.modules, query.targets, query.layers)) {
    const TensorSpec& spec = *linears.specs[place];
    const auto rank = static_cast<uint64_t>(ranks[place]);
    size.parameters += rank * (spec.rows + spec.cols);
    size.ranks += rank;
    ++size.modules;
    by_operation[OperationOf(spec.role)][spec.layer] += rank;
  }
  for (const auto& [operation, layers] : by_operation) {
    uint64_t most = 0;
    for (const auto& [layer, sum] : layers) most = std::max(most, sum);
    size.layer_ranks += most;
  }
  return size;
}

namespace {

// TrainingBytes with its numbers; all but the rows is of one row.
std::string ActivationsText(const ModelConfig& config, uint64_t tokens, const AdapterSize& adapter,
                            const TapeSettings& tape) {
  const size_t layer = TapeLayerFloats(config, 1, tape);
  const size_t buffers = TrainingBufferFloats(config, 1, tape) + config.hidden;
  return tape.recompute ? fmt::format("{} rows × ({} layers × {} + one of {} + {} ranks + {} of buffers) × 4 B",
                                      Grouped(TrainingRows(tokens)), config.layers, Grouped(config.hidden),
                                      Grouped(layer), Grouped(adapter.layer_ranks), Grouped(buffers))
                        : fmt::format("{} rows × ({} layers × {} + {} + {} ranks + {} of buffers) × 4 B",
                                      Grouped(TrainingRows(tokens)), config.layers, Grouped(layer),
                                      Grouped(config.hidden), Grouped(adapter.ranks), Grouped(buffers));
}

}  // namespace

TrainingMath TrainingMemory(const Plan& base, const std::string& base_format, const TrainingQuery& query) {
  const bool full = query.method == TrainingMethod::kFull;
  const ModelConfig& config = base.config;
  TrainingMath math;
  math.method = NameOf(query.method);
  const AdapterSize adapter = full ? AdapterSize{} : AdapterOf(base, query);
  const uint64_t trained = full ? base.parameters() : adapter.parameters;
  const std::string count = Grouped(trained) + " parameters × ";
  const WeightsMath weights = ResidentWeights(base, base_format);
  math.Add(full ? "weights" : "frozen base", fmt::format("in memory as {}: {}", base_format, weights.formula),
           weights.bytes);
  if (!full)
    math.Add("adapter",
             fmt::format("r = {}{}, {} modules: {}4 B", query.r, query.rank_pattern.empty() ? "" : " but for a pattern",
                         adapter.modules, count),
             trained * 4);
  if (!full) math.Add("best adapter", "a copy of the best so far: " + count + "4 B", trained * 4);
  math.Add("gradients", count + "4 B", trained * 4);
  math.Add("optimizer", count + "2 moments × 4 B", trained * 8);
  // Gradients of whole weights want exact products.
  const TapeSettings tape = {.recompute = query.tape.recompute, .bf16 = query.tape.bf16 && !full};
  math.Add("activations", ActivationsText(config, query.tokens, adapter, tape),
           TrainingBytes(config, query.tokens, {.all = adapter.ranks, .layer = adapter.layer_ranks}, tape));
  math.Add("loss",
           fmt::format("{} rows × ({} logits + 3 × {} hidden) × 4 B", kLossRows, Grouped(config.vocab),
                       Grouped(config.hidden)),
           LossBytes(config));
  math.assumptions = full
                         ? fmt::format("all {} parameters in f32", Grouped(trained))
                         : fmt::format("r={} on {}, base held as {}", query.r, TargetsText(query.targets), base_format);
  math.assumptions += fmt::format("; {} packed tokens a pass, AdamW in f32", Grouped(query.tokens));
  return math;
}

TrainingBase TrainingBaseOf(const Plan& plan, const std::string& format, TrainingMethod method) {
  switch (method) {
    case TrainingMethod::kLora:
      return {PlanInScheme(plan.config, *FindScheme("bf16"), WeightMode::kBF16), "bf16"};
    case TrainingMethod::kFull:
      return {PlanInScheme(plan.config, *FindScheme("f32"), WeightMode::kF32), "f32"};
    case TrainingMethod::kQlora:
      break;
  }
  const bool quantized =
      std::ranges::any_of(plan.tensors, [](const TensorSpec& spec) { return spec.stored >= FormatId::kInt8; });
  if (quantized) return {plan, format};
  return {PlanInScheme(plan.config, *FindScheme("int4")), "int4"};
}

std::string_view NameOf(TrainingMethod method) {
  return method == TrainingMethod::kFull ? "full" : method == TrainingMethod::kQlora ? "QLoRA" : "LoRA";
}

TrainingMath TrainingOf(const Plan& plan, const std::string& format, const TrainingQuery& query) {
  if (query.torch) return TorchTrainingMemory(plan, query);
  const TrainingBase base = TrainingBaseOf(plan, format, query.method);
  return TrainingMemory(base.plan, base.format, query);
}

std::vector<TrainingPoint> TrainingPoints(const Plan& plan, const std::string& format, const TrainingGrid& grid) {
  std::vector<TrainingPoint> points;
  for (TrainingQuery query : grid.methods)
    for (const bool recompute : {false, true})
      for (const uint64_t sequence : grid.sequences)
        for (const uint64_t batch : grid.batches)
          for (const int rank : grid.ranks) {
            query.set_recomputes(recompute);
            query.tokens = CappedProduct({sequence, batch});
            query.r = rank;
            points.push_back({.method = std::string(NameOf(query.method)),
                              .sequence = static_cast<int64_t>(sequence),
                              .batch = static_cast<int64_t>(batch),
                              .rank = rank,
                              .recompute = recompute,
                              .bytes = TrainingOf(plan, format, query).bytes});
          }
  return points;
}

TrainingFit FitTraining(const Plan& plan, const std::string& format, const TrainingQuery& query, uint64_t budget,
                        uint64_t held) {
  TrainingQuery tried = query;
  const uint64_t most = Greatest(kMostPassTokens, [&](uint64_t tokens) {
    tried.tokens = tokens;
    return CappedSum({held, TrainingOf(plan, format, tried).bytes}) <= budget;
  });
  return {.method = std::string(NameOf(query.method)),
          .rank = query.r,
          .recompute = query.recomputes(),
          .max_tokens = static_cast<int64_t>(most)};
}

}  // namespace qad

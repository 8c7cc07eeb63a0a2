#include "memory/estimate.h"

#include <algorithm>
#include <limits>
#include <map>

#include "base/error.h"
#include "model/targets.h"

namespace qad {
namespace {

constexpr uint64_t kTooMuch = std::numeric_limits<uint64_t>::max();

uint64_t Product(std::initializer_list<uint64_t> factors) {
  uint64_t product = 1;
  for (const uint64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product)) return kTooMuch;
  return product;
}

uint64_t Sum(std::initializer_list<uint64_t> addends) {
  uint64_t sum = 0;
  for (const uint64_t addend : addends)
    if (__builtin_add_overflow(sum, addend, &sum)) return kTooMuch;
  return sum;
}

std::string TargetsText(const std::vector<std::string>& targets) {
  if (targets == std::vector<std::string>{"all-linear"}) return "all linear layers";
  std::string text;
  for (const std::string& target : targets) text += (text.empty() ? "" : ", ") + target;
  return text;
}

void Add(TrainingMath& math, std::string name, std::string formula, uint64_t bytes) {
  math.parts.push_back({std::move(name), std::move(formula), bytes});
  math.bytes = Sum({math.bytes, bytes});
}

}  // namespace

uint64_t KvBytes(const ModelConfig& config, uint64_t context, uint64_t batch, FormatId type, bool gqa) {
  const uint64_t heads = gqa ? config.kv_heads : config.heads, row = GetFormat(type).RowBytes(config.head_dim);
  const auto of_layers = [&](uint64_t layers, uint64_t tokens) {
    return Product({layers, batch, 2, heads, tokens, row});
  };
  if (config.sliding_window == 0) return of_layers(config.layers, context);
  return Sum({of_layers(config.full_layers, context),
              of_layers(config.layers - config.full_layers, std::min<uint64_t>(context, config.sliding_window))});
}

namespace {

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

TrainingMath TrainingMemory(const Plan& base, const std::string& base_format, const TrainingQuery& query) {
  const bool full = query.method == TrainingMethod::kFull;
  const ModelConfig& config = base.config;
  TrainingMath math;
  math.method = full ? "full" : query.method == TrainingMethod::kQlora ? "QLoRA" : "LoRA";
  const AdapterSize adapter = full ? AdapterSize{} : AdapterOf(base, query);
  const uint64_t trained = full ? base.parameters() : adapter.parameters;
  const std::string count = Grouped(trained) + " parameters × ";
  const WeightsMath weights = ResidentWeights(base, base_format);
  Add(math, full ? "weights" : "frozen base", fmt::format("in memory as {}: {}", base_format, weights.formula),
      weights.bytes);
  if (!full)
    Add(math, "adapter",
        fmt::format("r = {}{}, {} modules: {}4 B", query.r, query.rank_pattern.empty() ? "" : " but for a pattern",
                    adapter.modules, count),
        trained * 4);
  Add(math, "gradients", count + "4 B", trained * 4);
  Add(math, "optimizer", count + "2 moments × 4 B", trained * 8);
  // Gradients of whole weights want exact products.
  const TapeSettings tape = {.recompute = query.tape.recompute, .bf16 = query.tape.bf16 && !full};
  Add(math, "activations",
      fmt::format("tape and buffers of {} packed tokens{}", Grouped(query.tokens),
                  query.tape.recompute ? ", blocks computed again" : ""),
      TrainingBytes(config, query.tokens, {.all = adapter.ranks, .layer = adapter.layer_ranks}, tape));
  Add(math, "loss",
      fmt::format("{} rows × ({} logits + 3 × {} hidden) × 4 B", kLossRows, Grouped(config.vocab),
                  Grouped(config.hidden)),
      Product({kLossRows, config.vocab + 3 * config.hidden, sizeof(float)}));
  math.assumptions = full
                         ? fmt::format("all {} parameters in f32", Grouped(trained))
                         : fmt::format("r={} on {}, base held as {}", query.r, TargetsText(query.targets), base_format);
  math.assumptions += fmt::format("; {} packed tokens a pass, AdamW in f32", Grouped(query.tokens));
  return math;
}

FitAnswer Fit(const Plan& plan, const std::string& format, FormatId kv_type, uint64_t batch, uint64_t budget,
              uint64_t weights) {
  const uint64_t trained_for = plan.config.max_positions;
  const auto fits = [&](uint64_t context) {
    return Sum({weights, KvBytes(plan.config, context, batch, kv_type), InferenceBytes(plan.config, context, batch)}) <=
           budget;
  };
  FitAnswer answer{.budget = budget,
                   .weights = format,
                   .kv_type = std::string(GetFormat(kv_type).name),
                   .batch = static_cast<int64_t>(batch),
                   .max_context = 0,
                   .limited_by_model = false};
  uint64_t low = 0, high = trained_for;  // fits(low) or low is 0; bytes grow with the context
  while (low < high) {
    const uint64_t middle = high - (high - low) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  answer.max_context = static_cast<int64_t>(low);
  answer.limited_by_model = low == trained_for && fits(trained_for + 1);
  return answer;
}

}  // namespace qad

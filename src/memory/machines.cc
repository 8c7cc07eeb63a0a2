#include "memory/machines.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "memory/embedded.h"
#include "memory/saturating.h"
#include "memory/weights_math.h"

namespace qad {
namespace {

// Smaller and smaller.
constexpr std::array kSmallerFiles = {"gguf:Q8_0",   "gguf:Q6_K",   "gguf:Q5_K_M",
                                      "gguf:Q4_K_M", "gguf:Q3_K_M", "gguf:Q2_K"};

// Weights of the blocks' linear operations: a prompt needs the head for its last token alone.
double BlockWeights(const Plan& plan) {
  double weights = 0;
  for (const TensorSpec& spec : plan.tensors)
    if (IsBlockMatrix(spec)) weights += static_cast<double>(spec.elements());
  return weights;
}

// An embedding that is not the head, too, is read a row at a time.
uint64_t BytesRead(const Plan& plan) {
  const uint64_t bytes = plan.stored_bytes();
  return plan.config.tied_head ? bytes : bytes - plan.Find(Role::kTokenEmbedding, -1)->stored_bytes();
}

class Ladder {
 public:
  Ladder(const Machine& machine, const MachineQuery& query) : machine_(machine), query_(query) {}

  MachineFit Climb() {
    fit_.machine = machine_.name;
    fit_.memory = machine_.memory;
    const Plan& asked = *query_.plan;
    files_ = {{query_.format, asked}};
    for (const char* name : kSmallerFiles)
      if (Plan plan = PlanInFormat(asked.config, name); plan.stored_bytes() < asked.stored_bytes())
        files_.emplace_back(name, std::move(plan));
    if (!TryFiles({query_.kv_type, FormatId::kQ8_0})) TryFiles({FormatId::kQ4_0});
    return fit_;
  }

 private:
  // Whether one of the files fits, the largest first, with one of these caches.
  bool TryFiles(const std::vector<FormatId>& caches) {
    return std::ranges::any_of(files_, [&](const auto& file) {
      return std::ranges::any_of(caches, [&](FormatId type) { return Try(file.second, file.first, type); });
    });
  }

  bool Try(const Plan& plan, const std::string& format, FormatId type) {
    const size_t head_dim = plan.config.head_dim;
    const bool smaller = GetFormat(type).Divides(head_dim) &&
                         GetFormat(type).RowBytes(head_dim) < GetFormat(query_.kv_type).RowBytes(head_dim);
    if (type != query_.kv_type && !smaller) return false;
    const FitAnswer answer = Fit(plan, format, type, query_.batch, machine_.memory, plan.stored_bytes());
    if (answer.max_context < static_cast<int64_t>(query_.context)) return false;
    const double cache = static_cast<double>(KvBytes(plan.config, query_.context, query_.batch, type));
    const double weights = static_cast<double>(BytesRead(plan)), batch = static_cast<double>(query_.batch);
    fit_ = {.machine = machine_.name,
            .memory = machine_.memory,
            .weights = format,
            .kv_type = answer.kv_type,
            .max_context = answer.max_context,
            .limited_by_model = answer.limited_by_model,
            .max_batch = FitSequences(plan, type, query_.context, machine_.memory, plan.stored_bytes()),
            .decode_ceiling = batch * machine_.bytes_per_second / (weights + cache),
            .prefill_ceiling = machine_.flops / (2 * BlockWeights(plan)),
            .price_per_hour = machine_.price_per_hour};
    fit_.decode_price = PricePerMillion(fit_.decode_ceiling);
    fit_.prefill_price = PricePerMillion(fit_.prefill_ceiling);
    return true;
  }

  double PricePerMillion(double per_second) const {
    return per_second > 0 ? machine_.price_per_hour / 3600 / per_second * 1e6 : 0;
  }

  const Machine& machine_;
  const MachineQuery& query_;
  std::vector<std::pair<std::string, Plan>> files_;
  MachineFit fit_;
};

}  // namespace

std::vector<FormatFits> FitsOf(const Plan& plan, const std::string& format, uint64_t batch, uint64_t budget,
                               uint64_t engine) {
  std::vector<FormatFits> fits;
  const auto add = [&](const Plan& other, const std::string& name) {
    FormatFits& row = fits.emplace_back(FormatFits{name, other.weight_bytes(), {}});
    for (const FormatId type : {FormatId::kF16, FormatId::kQ8_0, FormatId::kQ4_0})
      if (GetFormat(type).Divides(plan.config.head_dim))
        row.answers.push_back(Fit(other, name, type, batch, budget, CappedSum({other.weight_bytes(), engine})));
  };
  add(plan, format);
  for (const char* name : kSmallerFiles)
    if (const Plan file = PlanInFormat(plan.config, name); file.weight_bytes() < fits.back().bytes) add(file, name);
  return fits;
}

std::vector<Machine> AllMachines() {
  const Json json = ParseJson(MachinesJson(), "machines.json");
  std::vector<Machine> machines;
  for (const Json& row : json["machines"]) {
    const JsonObject object(row, "machines.json");
    machines.push_back({.name = object.String("name"),
                        .source = object.String("source"),
                        .memory = static_cast<uint64_t>(object.Int("memory", 1, int64_t{1} << 50)),
                        .bytes_per_second = 1e9 * object.NumberOr("gigabytes_per_second", 0, 1e6, 0),
                        .flops = 1e12 * object.NumberOr("tflops", 0, 1e6, 0)});
  }
  return machines;
}

MachineFit FitMachine(const Machine& machine, const MachineQuery& query) { return Ladder(machine, query).Climb(); }

}  // namespace qad

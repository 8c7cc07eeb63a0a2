#include "memory/machines.h"

#include <algorithm>
#include <array>

#include "base/capped.h"
#include "base/json.h"
#include "memory/embedded.h"
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

double HeadWeights(const Plan& plan) {
  return static_cast<double>(plan.config.vocab) * static_cast<double>(plan.config.hidden);
}

class Ladder {
 public:
  Ladder(const Machine& machine, const MachineQuery& query) : machine_(machine), query_(query) {}

  MachineFit Climb() {
    fit_.machine = machine_.name;
    fit_.source = machine_.source;
    fit_.memory = machine_.memory;
    fit_.verdict = "does not fit";
    fit_.price_per_hour = machine_.price_per_hour;
    const Plan& asked = *query_.plan;
    files_ = {{query_.format, asked}};
    for (const char* name : kSmallerFiles)
      if (Plan plan = PlanInFormat(asked.config, name); HeldBytes(plan) < HeldBytes(asked))
        files_.emplace_back(name, std::move(plan));
    if (!TryFiles({query_.kv_type, FormatId::kQ8_0})) TryFiles({FormatId::kQ4_0});
    return fit_;
  }

 private:
  uint64_t HeldBytes(const Plan& plan) const { return machine_.runs_qad ? plan.weight_bytes() : plan.stored_bytes(); }

  // An embedding that is not the head, too, is read a row at a time.
  double BytesRead(const Plan& plan) const {
    uint64_t bytes = HeldBytes(plan);
    if (!plan.config.tied_head) {
      const TensorSpec& embedding = *plan.Find(Role::kTokenEmbedding, -1);
      bytes -= machine_.runs_qad ? embedding.bytes() : embedding.stored_bytes();
    }
    return static_cast<double>(bytes);
  }

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
    const uint64_t held = CappedSum({HeldBytes(plan), machine_.runs_qad ? query_.engine : 0});
    const FitAnswer answer = Fit(plan, format, type, query_.batch, machine_.memory, held);
    const bool fits = NeededBytes(plan, type, query_.context, query_.batch, held) <= machine_.memory;
    if (!fits && answer.max_context <= fit_.max_context) return false;
    fit_.weights = format;
    fit_.kv_type = answer.kv_type;
    fit_.max_context = answer.max_context;
    fit_.limited_by_model = answer.limited_by_model;
    fit_.max_batch = FitSequences(plan, type, query_.context, machine_.memory, held);
    if (!fits) return false;
    fit_.verdict = &plan != &files_.front().second ? "fits as a smaller file"
                   : type != query_.kv_type        ? "fits with a smaller cache"
                                                   : "fits";
    SetCeilings(plan, type);
    return true;
  }

  void SetCeilings(const Plan& plan, FormatId type) {
    const double cache = static_cast<double>(KvBytes(plan.config, query_.context, query_.batch, type));
    const double batch = static_cast<double>(query_.batch), blocks = BlockWeights(plan);
    fit_.decode_ceiling = batch * machine_.bytes_per_second / (BytesRead(plan) + cache);
    fit_.prefill_ceiling = machine_.flops / (2 * blocks);
    if (machine_.flops > 0)
      fit_.decode_ceiling = std::min(fit_.decode_ceiling, machine_.flops / (2 * (blocks + HeadWeights(plan))));
    fit_.decode_price = PricePerMillion(fit_.decode_ceiling);
    fit_.prefill_price = PricePerMillion(fit_.prefill_ceiling);
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

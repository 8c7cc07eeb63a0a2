#include "commands/memory_text.h"

#include <fmt/format.h>

#include "base/capped.h"
#include "base/units.h"

namespace qad {
namespace {

std::string Size(uint64_t bytes) { return FormatBytes(static_cast<double>(bytes)); }

void PrintMachines(const MemoryMath& math) {
  if (math.machines.empty()) return;
  fmt::print("\nMachines, context {}, batch {} (speeds are ceilings)\n",
             Grouped(static_cast<uint64_t>(math.case_context)), math.case_batch);
  const auto rate = [](double ceiling) { return ceiling > 0 ? FormatRate(ceiling) : std::string("–"); };
  for (const MachineFit& fit : math.machines) {
    const auto tokens = [](int64_t count) { return Grouped(static_cast<uint64_t>(count)); };
    fmt::print("  {:<18} {:>9}  {}", fit.machine, Size(fit.memory), fit.verdict);
    const bool fits = fit.verdict.starts_with("fits");
    if (fit.max_context > 0)
      fmt::print("{} {}, {} cache, up to {} tokens", fits ? ":" : ", but", fit.weights, fit.kv_type,
                 tokens(fit.max_context));
    if (fit.max_batch > 0) fmt::print("{} {} sequences", fits ? ", or" : " or", tokens(fit.max_batch));
    if (fit.decode_ceiling > 0)
      fmt::print("; decode ≤ {}, prefill ≤ {} tok/s", rate(fit.decode_ceiling), rate(fit.prefill_ceiling));
    fmt::print("\n");
    if (fit.decode_price > 0)
      fmt::print("  {:<18} a million tokens cost at least {} decoded, {} as prompts, at {} an hour\n", "",
                 FormatMoney(fit.decode_price), fit.prefill_price > 0 ? FormatMoney(fit.prefill_price) : "–",
                 FormatMoney(fit.price_per_hour));
  }
}

void PrintParts(const std::vector<MemoryPart>& parts) {
  for (const MemoryPart& part : parts) fmt::print("    {:<12} {:>11}  {}\n", part.name, Size(part.bytes), part.formula);
}

void PrintFitting(const MemoryMath& math) {
  for (const FitAnswer& fit : math.fits) {
    const std::string what = fmt::format("{} weights, {} cache, batch {}", fit.weights, fit.kv_type, fit.batch);
    if (fit.max_context == 0)
      fmt::print("  {:<36} does not fit\n", what);
    else
      fmt::print("  {:<36} up to {} tokens{}; {} sequences of {}\n", what,
                 Grouped(static_cast<uint64_t>(fit.max_context)),
                 fit.limited_by_model ? " (all the model was trained for)" : "",
                 Grouped(static_cast<uint64_t>(fit.max_batch)), Grouped(static_cast<uint64_t>(math.case_context)));
  }
}

void PrintCache(const MemoryMath& math) {
  const KvMath& kv = math.kv;
  fmt::print("\nKV cache: {} a token in {} = {}\n", Size(kv.bytes_per_token), kv.type, kv.formula);
  if (kv.bytes_per_token_without_gqa > kv.bytes_per_token)
    fmt::print("  {} query heads share {} KV heads; without that a token would take {}\n", kv.heads, kv.kv_heads,
               Size(kv.bytes_per_token_without_gqa));
  if (math.cache_outgrows_weights > 0)
    fmt::print("  from {} tokens of one sequence on it takes more than the weights in memory\n",
               Grouped(static_cast<uint64_t>(math.cache_outgrows_weights)));
  else
    fmt::print("  within its positions a sequence never takes as much as the weights in memory\n");
  if (!kv.allotments.empty())
    fmt::print("  {} sequences of up to {} tokens, {} each by now, the first {} the same:\n", kv.allotted_batch,
               Grouped(static_cast<uint64_t>(kv.allotted_context)), Grouped(static_cast<uint64_t>(kv.allotted_tokens)),
               Grouped(static_cast<uint64_t>(kv.allotted_prefix)));
  for (const KvAllotment& way : kv.allotments)
    fmt::print("    {:<22} {:>11}  {}\n", way.way, Size(way.bytes), way.formula);
  for (const KvPoint& point : kv.points)
    fmt::print("  {:<5} context {:>9}  batch {:>4} {:>11}\n", point.type, Grouped(static_cast<uint64_t>(point.context)),
               point.batch, Size(point.bytes));
}

// The case that was asked for: what it takes, and whether it fits.
void PrintSum(const MemorySubject& subject, const MemoryQuery& query, uint64_t context) {
  const ModelConfig& config = subject.plan.config;
  const uint64_t batch = query.batches.front(), weights = subject.plan.weight_bytes();
  const uint64_t kv = KvBytes(config, context, batch, query.kv_types.front());
  const uint64_t workspace = InferenceBytes(config, context, batch),
                 sum = CappedSum({query.engine_bytes(), weights, kv, workspace});
  fmt::print("\nContext {}, batch {}: program {} + weights {} + cache {} + workspace {} = {}: {} {}\n",
             Grouped(context), batch, Size(query.engine_bytes()), Size(weights), Size(kv), Size(workspace), Size(sum),
             sum <= query.budget ? "fits in" : "does not fit in", Size(query.budget));
  if (context > config.max_positions)
    fmt::print("  beyond the {} positions the model was trained for\n", Grouped(config.max_positions));
}

void PrintTraining(const MemoryMath& math) {
  if (!math.training_points.empty()) fmt::print("\nTraining by sequence, batch and rank\n");
  for (const TrainingPoint& point : math.training_points)
    fmt::print("  {:<24} sequence {:>9}  batch {:>4}  rank {:>4} {:>11}{}\n",
               SettingName(point.method, point.recompute), Grouped(static_cast<uint64_t>(point.sequence)), point.batch,
               point.rank, Size(point.bytes), math.has_room(point.bytes) ? "" : "  does not fit");
  if (!math.training_fits.empty()) fmt::print("\nTraining that fits in {}\n", Size(math.budget));
  for (const TrainingFit& fit : math.training_fits)
    fmt::print("  {:<24} rank {:>4}  {}\n", SettingName(fit.method, fit.recompute), fit.rank,
               fit.max_tokens == 0
                   ? "does not fit"
                   : fmt::format("up to {} tokens a pass", Grouped(static_cast<uint64_t>(fit.max_tokens))));
}

}  // namespace

void PrintMemory(const MemorySubject& subject, const MemoryQuery& query, const MemoryMath& math, uint64_t context) {
  fmt::print("{}: family {}, {} parameters, {} positions\n", math.title, subject.plan.config.family->name,
             Grouped(math.parameters), Grouped(static_cast<uint64_t>(math.max_positions)));
  fmt::print("assumed: {}\n\nFits in {}", math.hardware, Size(math.budget));
  for (const MemoryPart& part : math.engine) fmt::print(", {} {} counted", part.name, Size(part.bytes));
  fmt::print("\n");
  PrintFitting(math);
  fmt::print("\nWeights\n");
  for (const WeightsMath& weights : math.weights) {
    fmt::print("  {:<14} {:>11}  {}{}\n", weights.format, Size(weights.bytes), weights.formula,
               weights.stored ? "  (as stored)" : "");
    PrintParts(weights.parts);
  }
  PrintCache(math);
  PrintSum(subject, query, context);
  PrintMachines(math);
  fmt::print("\nWorkspace: {} for a step at the longest context above\n", Size(math.workspace_bytes));
  for (const TrainingMath& training : math.training) {
    fmt::print("\nTraining, {}: {}{}  ({})\n", training.method, Size(training.bytes),
               math.has_room(training.bytes) ? "" : ", which does not fit in " + Size(math.budget),
               training.assumptions);
    PrintParts(training.parts);
  }
  PrintTraining(math);
  if (!math.checks.empty()) fmt::print("\nPredicted and measured\n");
  for (const PredictedMeasured& check : math.checks)
    fmt::print("  {:<28} {:>15} B {:>15} B  {}\n", check.what, Grouped(check.predicted), Grouped(check.measured),
               check.holds() ? "holds" : fmt::format("does not hold: more than {} B apart", Grouped(check.allowed)));
  fmt::print("\n");
  for (const std::string& note : math.notes) fmt::print("- {}\n", note);
}

void PrintFits(const MemorySubject& subject, const MemoryQuery& query, const std::vector<FormatFits>& fits) {
  fmt::print("{} in {}, batch {}: tokens of context (of {})\n\n  {:<12} {:>10}", subject.title, Size(query.budget),
             query.batches.front(), Grouped(subject.plan.config.max_positions), "weights", "in memory");
  for (const FitAnswer& answer : fits.front().answers) fmt::print(" {:>13}", answer.kv_type + " cache");
  fmt::print("\n");
  for (const FormatFits& row : fits) {
    fmt::print("  {:<12} {:>10}", row.format, Size(row.bytes));
    for (const FitAnswer& fit : row.answers)
      fmt::print(" {:>13}", fit.max_context == 0 ? "–"
                                                 : Grouped(static_cast<uint64_t>(fit.max_context)) +
                                                       (fit.limited_by_model ? " all" : ""));
    fmt::print("\n");
  }
  fmt::print(
      "\n  –: does not fit. all: the model was trained for no more. Counted: {} of this program. Of llama.cpp's types "
      "those\n"
      "  that take less memory here than the ones above.\n",
      Size(query.engine_bytes()));
  if (!subject.plan.config.family->runs)
    fmt::print("  Family {} is known for arithmetic only: this program does not run it.\n",
               subject.plan.config.family->name);
}

}  // namespace qad

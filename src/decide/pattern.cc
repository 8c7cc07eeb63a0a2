// The expected pattern: what people are told about quantization, adapters and RAG, held against these results.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "decide/answers.h"
#include "decide/evidence.h"
#include "results/statistics.h"

namespace qad {
namespace {

using Quantized = std::vector<QuantizationAnswer>;

PatternStatement CannotTell(std::string statement, std::string missing) {
  return {std::move(statement), "cannot tell here", std::move(missing)};
}

PatternStatement SmallerWeights(const Quantized& quantization) {
  const std::string statement = "Quantization helps fit and cost: much less memory at nearly the same quality";
  for (const QuantizationAnswer& arm : quantization) {
    if (!arm.weights_bytes || !arm.base_weights_bytes || arm.verdict == "cannot tell") continue;
    const double ratio = *arm.weights_bytes / *arm.base_weights_bytes;
    const bool shown = ratio <= 0.75 && (arm.verdict == "equivalent" || arm.verdict == "better");
    if (!shown && &arm != &quantization.back()) continue;  // a larger artefact may still show it
    return {statement, shown ? "shown" : "not shown",
            fmt::format("{}: {} of {} ({}), {}: {}", arm.arm, FormatBytes(*arm.weights_bytes),
                        FormatBytes(*arm.base_weights_bytes), FormatShare(ratio), arm.verdict, arm.basis)};
  }
  return CannotTell(statement, "no quantized arm with measured weights and a verdict on its quality");
}

// Of both, at the context that was measured, and what each more token takes.
std::string CacheFigure(const Results& results, const QuantizationAnswer& arm) {
  std::string figure = fmt::format("KV cache of {} {}, of {} {}", arm.arm, FormatBytes(*arm.kv_bytes), arm.base,
                                   FormatBytes(*arm.base_kv_bytes));
  const auto ours = results.Value(arm.arm, kMemorySlice, "context"),
             base = results.Value(arm.base, kMemorySlice, "context");
  if (!ours || !base || *ours <= 0 || *base <= 0) return figure;
  return figure + fmt::format(" at {} tokens: {} and {} for each more", FormatNumber(*ours),
                              FormatBytes(*arm.kv_bytes / *ours), FormatBytes(*arm.base_kv_bytes / *base));
}

PatternStatement SameCache(const Results& results, const Quantized& quantization) {
  const std::string statement = "Quantized weights do not erase KV-cache growth";
  for (const QuantizationAnswer& arm : quantization)
    if (arm.kv_bytes && arm.base_kv_bytes)
      return {statement, *arm.kv_bytes >= *arm.base_kv_bytes ? "shown" : "not shown", CacheFigure(results, arm)};
  return CannotTell(statement, "the KV cache of a quantized arm and of the base was not measured");
}

// The slice of a topic, its leaf that comes first.
std::string SliceOf(const std::vector<TopicAnswer>& topics, std::string_view topic) {
  const TopicAnswer* answer = FindTopic(topics, topic);
  return answer == nullptr ? "" : answer->slice;
}

// The best measured arm that satisfies `is`.
template <typename Is>
const ArmInfo* Best(const Results& results, const std::string& slice, const std::string& metric, Is is) {
  const ArmInfo* best = nullptr;
  double highest = 0;
  for (const ArmInfo& arm : results.arms) {
    const auto value = results.Value(arm.name, slice, metric);
    if (!arm.IsCandidate() || !value || !is(arm) || (best && *value <= highest)) continue;
    best = &arm;
    highest = *value;
  }
  return best;
}

std::string Describe(const Comparison& pair) {
  return fmt::format("{} − {} on {} ({}): {} points ({} to {}), n = {}{}", pair.better, pair.than, pair.slice,
                     pair.metric, FormatPoints(pair.difference), FormatPoints(pair.low), FormatPoints(pair.high),
                     pair.n, pair.declared ? ", declared" : ", exploratory");
}

// "Shown" needs a difference above zero with its whole interval, and a declared comparison's verdict where there is
// one.
PatternStatement FromPair(const std::string& statement, const Comparison& pair) {
  if (pair.n == 0) return CannotTell(statement, fmt::format("{} and {} share no scored items", pair.better, pair.than));
  std::string verdict = "cannot tell here";
  if (pair.declared ? pair.verdict == "better" : pair.low > 0) verdict = "shown";
  if (pair.declared ? pair.verdict == "worse" || pair.verdict == "equivalent" : pair.high < 0) verdict = "not shown";
  return {statement, verdict, Describe(pair)};
}

struct Kinds {
  bool (*better)(const ArmInfo&);
  bool (*than)(const ArmInfo&);
};

// The first declared comparison between arms of these kinds: what was asked before the run goes before what looks best.
std::optional<Comparison> Declared(const Results& results, const std::string& slice, const std::string& metric,
                                   const Kinds& kinds) {
  for (const Comparison& pair : results.comparisons) {
    if (!pair.declared || pair.slice != slice || pair.metric != metric) continue;
    const ArmInfo *first = results.Arm(pair.better), *second = results.Arm(pair.than);
    if (!first || !second) continue;
    if (kinds.better(*first) && kinds.than(*second)) return pair;
    if (kinds.better(*second) && kinds.than(*first)) return Turned(pair);
  }
  return std::nullopt;
}

PatternStatement CompareKinds(const Results& results, const std::vector<Sample>& samples, const std::string& statement,
                              const std::string& slice, const Kinds& kinds, const std::string& missing) {
  if (slice.empty()) return CannotTell(statement, "no slice of this kind was evaluated");
  const std::string metric = PrimaryMetric(results, slice);
  if (const auto declared = Declared(results, slice, metric, kinds)) return FromPair(statement, *declared);
  const ArmInfo* better = Best(results, slice, metric, kinds.better);
  const ArmInfo* than = Best(results, slice, metric, kinds.than);
  if (!better || !than) return CannotTell(statement, missing);
  return FromPair(statement, FindOrMake(results, samples, better->name, than->name, slice, metric));
}

bool Prompted(const ArmInfo& arm) { return arm.adapter.empty() && arm.prompting != "rag"; }
bool Adapter(const ArmInfo& arm) { return !arm.adapter.empty() && arm.prompting != "rag" && !arm.retrained; }
bool AnyAdapter(const ArmInfo& arm) { return !arm.adapter.empty() && arm.prompting != "rag"; }
bool Retrained(const ArmInfo& arm) { return arm.retrained && arm.prompting != "rag"; }
bool Retrieval(const ArmInfo& arm) { return arm.prompting == "rag"; }

// The adapter that knows most of the stable facts, on those that changed after it was trained: shown where it is surely
// right less often on these.
PatternStatement NoFreshKnowledge(const Results& results, const std::string& stable, const std::string& changed) {
  const std::string statement = "LoRA is no fix for fresh private knowledge";
  if (stable.empty() || changed.empty()) return CannotTell(statement, "no slices of stable and of changed facts");
  const std::string metric = PrimaryMetric(results, stable);
  const ArmInfo* best = Best(results, stable, metric, Adapter);
  if (!best) return CannotTell(statement, "no adapter without passages was evaluated on facts");
  const Row *before = results.Find(best->name, stable, metric), *after = results.Find(best->name, changed, metric);
  if (!before || !after || !before->low || !after->low) return CannotTell(statement, "no intervals on both slices");
  const Interval lost =
      DifferenceOfIndependent(before->value, {*before->low, *before->high}, after->value, {*after->low, *after->high});
  const auto told = [](const Row& row) { return FormatShare(row.value, row.low, row.high); };
  return {statement,
          lost.low > 0    ? "shown"
          : lost.high < 0 ? "not shown"
                          : "cannot tell here",
          fmt::format("{} answers {} of the stable facts it was trained on, {} of those that changed since: {} points "
                      "({} to {})",
                      best->name, told(*before), told(*after), FormatPoints(after->value - before->value),
                      FormatPoints(-lost.high), FormatPoints(-lost.low))};
}

// Shown where RAG leads on the facts that changed, and surely by more than on those that did not: it beats an adapter
// that knows few facts of either kind whether they change or not.
PatternStatement RagWinsOnChange(const Results& results, const std::vector<Sample>& samples, const std::string& stable,
                                 const std::string& changed) {
  const std::string statement = "RAG wins when facts change faster than one retrains (the adapter saw the old facts)";
  const Kinds kinds = {Retrieval, Adapter};
  PatternStatement said =
      CompareKinds(results, samples, statement, changed, kinds, "no RAG arm and adapter on changed facts");
  if (said.verdict != "shown" || stable.empty()) return said;
  const std::string metric = PrimaryMetric(results, changed);
  auto after = Declared(results, changed, metric, kinds);
  if (!after)
    after = FindOrMake(results, samples, Best(results, changed, metric, Retrieval)->name,
                       Best(results, changed, metric, Adapter)->name, changed, metric);
  const Comparison before =
      FindOrMake(results, samples, after->better, after->than, stable, PrimaryMetric(results, stable));
  if (before.n == 0) {
    said.verdict = "cannot tell here";
    said.figure += "; no stable facts were scored by both";
    return said;
  }
  said.figure += fmt::format("; {} ({} to {}) on those that did not change", FormatPoints(before.difference),
                             FormatPoints(before.low), FormatPoints(before.high));
  // The facts that changed and those that did not are other items.
  const Interval more = DifferenceOfIndependent(after->difference, {after->low, after->high}, before.difference,
                                                {before.low, before.high});
  said.figure +=
      fmt::format(": a lead larger by {} points ({} to {})", FormatPoints(after->difference - before.difference),
                  FormatPoints(more.low), FormatPoints(more.high));
  if (more.low <= 0) said.verdict = "cannot tell here";
  return said;
}

}  // namespace

std::vector<PatternStatement> CheckPattern(const Results& results, const std::vector<Sample>& samples,
                                           const std::vector<QuantizationAnswer>& quantization) {
  const std::vector<TopicAnswer> topics = AnswerTopics(results, samples);
  const std::string behaviour = SliceOf(topics, "behaviour"), changed = SliceOf(topics, "changing facts");
  std::vector<PatternStatement> statements = {
      SmallerWeights(quantization), SameCache(results, quantization),
      CompareKinds(results, samples, "LoRA specializes behaviour: better than prompting the same model", behaviour,
                   {AnyAdapter, Prompted}, "no adapter and prompted arm on this slice"),
      NoFreshKnowledge(results, SliceOf(topics, "stable facts"), changed),
      RagWinsOnChange(results, samples, SliceOf(topics, "stable facts"), changed)};
  // Its fair opponent has seen the new facts, and the time and money for that are among its costs.
  if (std::ranges::any_of(results.arms, Retrained))
    statements.push_back(CompareKinds(results, samples,
                                      "RAG is better on them even than an adapter retrained on the new facts", changed,
                                      {Retrieval, Retrained}, "no RAG arm and retrained adapter on changed facts"));
  return statements;
}

}  // namespace qad

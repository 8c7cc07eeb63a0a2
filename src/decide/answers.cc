#include "decide/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <utility>

#include "base/units.h"
#include "decide/evidence.h"
#include "results/slices.h"
#include "results/statistics.h"

namespace qad {
namespace {

constexpr std::string_view kTopics[] = {"behaviour", "stable facts", "changing facts", "unanswerable"};

// One of kTopics, else the slice itself.
std::string TopicOf(const std::string& slice, const std::string& metric) {
  if (slice.starts_with("unanswerable") || metric == "correct_refusal") return "unanswerable";
  if (slice.starts_with("behavio") || metric == "exact") return "behaviour";
  if (HasWord(slice, "changed")) return "changing facts";
  if (slice.starts_with("facts") || HasWord(slice, "stable")) return "stable facts";
  return slice;
}

// Kinds of remedy: bit 0 an adapter, bit 1 RAG.
int KindOf(const ArmInfo& arm) { return (arm.adapter.empty() ? 0 : 1) + (arm.prompting == "rag" ? 2 : 0); }

struct Ranked {
  const ArmInfo* arm = nullptr;
  const Row* row = nullptr;
};

// Whether an arm of kind `other` is an alternative to one of kind `kind`: neither the same, nor the same and more.
bool IsAlternative(int other, int kind) { return kind == 0 ? other != 0 : (other & kind) != kind; }

// The best candidate on a slice among alternatives to `kind` (nothing: among all). Ties go to the earlier arm.
Ranked BestOn(const Results& results, const std::string& slice, const std::string& metric, std::optional<int> kind) {
  Ranked best;
  for (const ArmInfo& arm : results.arms) {
    const Row* row = results.Find(arm.name, slice, metric);
    if (!arm.IsCandidate() || !row || (kind && !IsAlternative(KindOf(arm), *kind))) continue;
    if (!best.row || row->value > best.row->value) best = {&arm, row};
  }
  return best;
}

TopicAnswer AnswerSlice(const Results& results, const std::vector<Sample>& samples, const std::string& topic,
                        const std::string& slice) {
  TopicAnswer answer;
  answer.topic = topic;
  answer.slice = slice;
  answer.metric = PrimaryMetric(results, slice);
  const Ranked best = BestOn(results, slice, answer.metric, std::nullopt);
  answer.verdict = "cannot tell";
  if (!best.row) return answer;
  answer.winner = best.arm->name;
  answer.value = best.row->value;
  answer.low = best.row->low;
  answer.high = best.row->high;
  for (const ArmInfo& arm : results.arms) {
    const Row* row = arm.baseline ? results.Find(arm.name, slice, answer.metric) : nullptr;
    if (row == nullptr || (answer.baseline_value && row->value <= *answer.baseline_value)) continue;
    answer.baseline = arm.name;
    answer.baseline_value = row->value;
  }
  const Ranked second = BestOn(results, slice, answer.metric, KindOf(*best.arm));
  if (!second.row) return answer;
  answer.opponent = second.arm->name;
  answer.opponent_value = second.row->value;
  const Comparison pair = FindOrMake(results, samples, answer.winner, answer.opponent, slice, answer.metric);
  if (pair.n == 0) return answer;
  answer.difference = pair.difference;
  answer.difference_low = pair.low;
  answer.difference_high = pair.high;
  answer.declared = pair.declared;
  answer.verdict = pair.declared ? pair.verdict : "exploratory";
  return answer;
}

// Whether the arm's weights are those the base was decoded from.
bool IsOwnSource(const Results& results, const std::string& name) {
  const Json* model = results.manifest.contains("model") ? &results.manifest["model"] : nullptr;
  const ArmInfo* arm = results.Arm(name);
  if (!model || !model->is_object() || !arm) return false;
  return model->value("four_bit_source", false) && model->value("stored_format", "") == arm->weights;
}

// Types on whose grid weights of another lie as well: the same scale and offset of a block, and more codes. The rows of
// small models do not divide by 256, and mixes of K types have Q5_0, Q5_1 and Q8_0 there (model/gguf_types.h).
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kFinerTypes = {{{"q4_0", "q4_1"},
                                                                                        {"q4_0", "q5_0"},
                                                                                        {"q4_0", "q5_1"},
                                                                                        {"q4_0", "q8_0"},
                                                                                        {"q4_0", "q4_k"},
                                                                                        {"q4_0", "q5_k"},
                                                                                        {"q4_0", "q6_k"},
                                                                                        {"q4_1", "q5_1"},
                                                                                        {"q4_1", "q5_k"},
                                                                                        {"q4_k", "q5_k"}}};

// Whether the arm may hold weights on the grid of the base's own source, on which nothing is lost: a type that is the
// source's or finer, or types that were searched for.
bool MayLieOnSourceGrid(const Results& results, const std::string& name) {
  const Json* model = results.manifest.contains("model") ? &results.manifest["model"] : nullptr;
  const ArmInfo* arm = results.Arm(name);
  if (!model || !model->is_object() || !arm || !model->value("four_bit_source", false)) return false;
  std::string weights = arm->weights;
  std::ranges::transform(weights, weights.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string source = model->value("stored_format", "");
  const auto is = [&](std::string_view type) { return weights.starts_with(fmt::format("gguf:{}", type)); };  // q4_k_m
  return weights.starts_with("auto:") || is(source) ||
         std::ranges::any_of(kFinerTypes, [&](const auto& pair) { return pair.first == source && is(pair.second); });
}

// Sets verdict and basis, whatever grid the weights lie on.
void JudgeDistance(const Results& results, QuantizationAnswer& answer) {
  if (const Row* kl = results.Find(answer.arm, kTextSlice, "kl_divergence")) {
    answer.verdict = "cannot tell";  // as from one window of text
    if (kl->low && *kl->high <= kEquivalentKl) answer.verdict = "equivalent";
    if (kl->low && *kl->low > kEquivalentKl) answer.verdict = "worse";
    answer.basis =
        fmt::format("KL divergence {}{} nats per token of general text, margin {}", FormatNumber(kl->value),
                    kl->low ? fmt::format(" ({} to {})", FormatNumber(*kl->low), FormatNumber(*kl->high)) : "",
                    FormatNumber(kEquivalentKl));
    return;
  }
  answer.verdict = "cannot tell";
  answer.basis = "no KL divergence and no declared comparison with the base was measured";
  for (Comparison comparison : results.comparisons) {
    if (comparison.than == answer.arm && comparison.better == answer.base) comparison = Turned(comparison);
    if (comparison.better != answer.arm || comparison.than != answer.base || comparison.verdict.empty()) continue;
    answer.verdict = comparison.verdict;
    answer.basis =
        fmt::format("{} on {}: {} points", comparison.metric, comparison.slice, FormatPoints(comparison.difference));
    if (answer.verdict == "worse") return;  // one slice on which it is worse is enough
  }
}

// Of the rounds in which both were timed; nothing where there was one, or none.
std::optional<bool> RangesOverlap(const Results& results, const ArmInfo& a, const ArmInfo& b, const char* metric) {
  const Row *of_a = results.Find(a.name, kSpeedSlice, metric), *of_b = results.Find(b.name, kSpeedSlice, metric);
  if (!of_a || !of_b || !of_a->low || !of_b->low) return std::nullopt;
  return *of_a->low <= *of_b->high && *of_b->low <= *of_a->high;
}

void JudgeQuantized(const Results& results, QuantizationAnswer& answer) {
  if (IsOwnSource(results, answer.arm)) {
    answer.verdict = "cannot tell";
    answer.basis = "the base is this very file, decoded: that they agree says nothing about quantization";
    return;
  }
  JudgeDistance(results, answer);
  if (answer.verdict != "equivalent" || !MayLieOnSourceGrid(results, answer.arm)) return;
  answer.verdict = "cannot tell";
  answer.basis += ", but weights may lie on the grid of the source, where nothing is lost";
}

// Those of the run, as its own comparisons were made. Errors (kInput): they are out of range.
CompareOptions OptionsOf(const Results& results) {
  CompareOptions options;
  options.seed = static_cast<uint64_t>(JsonObject(results.manifest, "manifest").IntOr("seed", 0, INT64_MAX, 0));
  const JsonObject settings(results.settings, "settings");
  if (!settings.Has("eval")) return options;
  const JsonObject eval = settings.Object("eval");
  options.confidence = eval.NumberOr("confidence", 0.5, 0.9999, options.confidence);
  options.margin = eval.NumberOr("margin", 0, 1, options.margin);
  options.bootstrap = static_cast<int>(eval.IntOr("bootstrap", 1, 1 << 20, options.bootstrap));
  return options;
}

}  // namespace

const ArmInfo* BaseArm(const Results& results) {
  const ArmInfo* base = nullptr;
  for (const ArmInfo& arm : results.arms)
    if (!arm.baseline && !arm.remote && arm.adapter.empty() && arm.prompting.empty() &&
        (!base || arm.moving_parts < base->moving_parts))
      base = &arm;
  return base;
}

Comparison FindOrMake(const Results& results, const std::vector<Sample>& samples, const std::string& better,
                      const std::string& than, const std::string& slice, const std::string& metric) {
  for (Comparison comparison : results.comparisons) {
    if (comparison.slice != slice || comparison.metric != metric) continue;
    if (comparison.better == than && comparison.than == better) comparison = Turned(comparison);
    if (comparison.better == better && comparison.than == than) return comparison;
  }
  std::vector<Sample> ours, theirs;
  for (const Sample& sample : samples) {
    if (sample.arm == better) ours.push_back(sample);
    if (sample.arm == than) theirs.push_back(sample);
  }
  Comparison made = ComparePaired(ours, theirs, slice, metric, OptionsOf(results));
  made.better = better;  // where there are no samples it has no names
  made.than = than;
  return made;
}

std::vector<TopicAnswer> AnswerTopics(const Results& results, const std::vector<Sample>& samples) {
  std::vector<std::string> topics(std::begin(kTopics), std::end(kTopics));
  std::map<std::string, std::vector<std::string>> slices_of;
  for (const std::string& slice : results.LeafSlices()) {
    const std::string metric = PrimaryMetric(results, slice);
    if (!SaysWhatIsRight(metric)) continue;
    const std::string topic = TopicOf(slice, metric);
    slices_of[topic].push_back(slice);
    if (std::find(topics.begin(), topics.end(), topic) == topics.end()) topics.push_back(topic);
  }
  std::vector<TopicAnswer> answers;
  for (const std::string& topic : topics) {
    for (const std::string& slice : slices_of[topic]) answers.push_back(AnswerSlice(results, samples, topic, slice));
    if (!slices_of[topic].empty()) continue;
    answers.emplace_back().topic = topic;
    answers.back().verdict = "cannot tell";
  }
  return answers;
}

const TopicAnswer* FindTopic(const std::vector<TopicAnswer>& topics, std::string_view topic) {
  const auto found = std::ranges::find(topics, topic, &TopicAnswer::topic);
  return found == topics.end() || found->slice.empty() ? nullptr : &*found;
}

std::vector<QuantizationAnswer> AnswerQuantization(const Results& results) {
  std::vector<QuantizationAnswer> answers;
  const ArmInfo* base = BaseArm(results);
  if (!base) return answers;
  for (const ArmInfo& arm : results.arms) {
    if (arm.baseline || arm.remote || !arm.adapter.empty() || !arm.prompting.empty() || arm.weights == base->weights)
      continue;
    QuantizationAnswer answer;
    answer.arm = arm.name;
    answer.base = base->name;
    JudgeQuantized(results, answer);
    const auto figure = [&](const ArmInfo& of, auto slice, auto metric) {
      return results.Value(of.name, slice, metric);
    };
    answer.weights_bytes = figure(arm, kMemorySlice, "weights_bytes");
    answer.base_weights_bytes = figure(*base, kMemorySlice, "weights_bytes");
    answer.kv_bytes = figure(arm, kMemorySlice, "kv_bytes");
    answer.base_kv_bytes = figure(*base, kMemorySlice, "kv_bytes");
    answer.decode = figure(arm, kSpeedSlice, "decode_tokens_per_second");
    answer.base_decode = figure(*base, kSpeedSlice, "decode_tokens_per_second");
    answer.prefill = figure(arm, kSpeedSlice, "prefill_tokens_per_second");
    answer.base_prefill = figure(*base, kSpeedSlice, "prefill_tokens_per_second");
    answer.decode_tie = RangesOverlap(results, arm, *base, "decode_tokens_per_second");
    answer.prefill_tie = RangesOverlap(results, arm, *base, "prefill_tokens_per_second");
    answers.push_back(answer);
  }
  std::stable_sort(answers.begin(), answers.end(), [](const auto& a, const auto& b) {
    return a.weights_bytes.value_or(INFINITY) < b.weights_bytes.value_or(INFINITY);
  });
  return answers;
}

}  // namespace qad

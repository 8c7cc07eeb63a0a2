#include "decide/freshness.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "decide/answers.h"
#include "decide/costs.h"
#include "decide/rules.h"

namespace qad {
namespace {

constexpr double kWeeksOfMonth = 365.25 / 12 / 7;

std::string Holds(const ArmInfo& arm) {
  if (arm.prompting == "rag") return "index of the documents now";
  if (arm.adapter.empty()) return "nothing";
  return arm.retrained ? "adapter, trained after the change" : "adapter, trained before the change";
}

ShareAnswer ShareOf(const Results& results, const std::string& arm, const std::string& slice,
                    const std::string& metric) {
  const Row* row = results.Find(arm, slice, metric);
  if (row == nullptr) return {};
  return {.value = row->value, .low = row->low, .high = row->high};
}

}  // namespace

std::vector<FreshnessAnswer> CheckFreshness(const Results& results, const Evidence& evidence,
                                            const std::vector<TopicAnswer>& topics, const DecideOptions& options) {
  std::vector<FreshnessAnswer> answers;
  const TopicAnswer *changed = FindTopic(topics, "changing facts"), *stable = FindTopic(topics, "stable facts");
  if (changed == nullptr) return answers;
  const ArmInfo* base = BaseArm(results);
  for (size_t i = 0; i < results.arms.size(); ++i) {
    const ArmInfo& info = results.arms[i];
    const ArmEvidence& arm = evidence.arms[i];
    if (!info.IsCandidate() || !(arm.updated || &info == base)) continue;
    FreshnessAnswer answer;
    answer.arm = info.name;
    answer.holds = Holds(info);
    answer.trained_before = !info.adapter.empty() && info.prompting != "rag" && !info.retrained;
    if (stable != nullptr) answer.stable = ShareOf(results, info.name, stable->slice, stable->metric);
    answer.changed = ShareOf(results, info.name, changed->slice, changed->metric);
    answer.stale = ShareOf(results, info.name, changed->slice, "stale");
    if (stable != nullptr) answer.stable_before = ShareOf(results, info.name, stable->slice, kBeforeMetric);
    answer.changed_before = ShareOf(results, info.name, changed->slice, kBeforeMetric);
    answer.update_seconds = arm.update_seconds;
    answer.update_source = arm.update_source;
    if (arm.updated && arm.update_seconds) answer.update_price = UpdatePrice(arm, options);
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::vector<std::string> AnswerWeekly(const Decision& decision, const Evidence& evidence,
                                      const DecideOptions& options) {
  DecideOptions weekly = options;
  weekly.changes_per_month = kWeeksOfMonth;
  const auto winner = Choose(evidence, weekly);
  std::vector<std::string> said = {
      fmt::format("At one change a week ({:.2f} a month) the rules choose {}{}.", kWeeksOfMonth,
                  winner ? evidence.arms[*winner].arm : "none of the arms",
                  winner && evidence.arms[*winner].arm == decision.recommended ? ", as now" : "")};
  std::string costs;
  for (const ArmEvidence& arm : evidence.arms) {
    const auto of = arm.candidate && arm.updated ? CostsOf(arm, weekly) : std::nullopt;
    if (of)
      costs += fmt::format("{}{} {} ({} of it updates)", costs.empty() ? "" : ", ", arm.arm, FormatMoney(of->total),
                           FormatMoney(of->updates));
  }
  if (!costs.empty())
    said.push_back(fmt::format("Over {} months the arms that hold facts would then cost: {}.",
                               FormatNumber(options.horizon_months), costs));
  for (const FreshnessAnswer& answer : decision.freshness)
    if (answer.trained_before && answer.changed.value && answer.stale.value)
      said.push_back(fmt::format(
          "Until it is trained again, {} answers {} of the changed facts right and {} with their old value.",
          answer.arm, FormatShare(*answer.changed.value), FormatShare(*answer.stale.value)));
  return said;
}

namespace {

struct Adapter {
  std::string name, base, data;
};

std::vector<Adapter> AdaptersOf(const Results& results) {
  std::vector<Adapter> adapters;
  const auto list = results.settings.find("adapters");
  if (list == results.settings.end() || !list->is_array()) return adapters;
  for (const Json& adapter : *list)
    adapters.push_back({adapter.value("name", ""), adapter.value("base", ""), adapter.value("data", "")});
  return adapters;
}

// As the configuration calls it.
std::string BaseWord(const std::string& base) { return base == "as-stored" ? "the file as stored" : base; }

// The arm of this adapter with the given prompting; null where there is none.
const ArmInfo* ArmOf(const Results& results, const std::string& adapter, const std::string& prompting) {
  const auto found = std::ranges::find_if(
      results.arms, [&](const ArmInfo& arm) { return arm.adapter == adapter && arm.prompting == prompting; });
  return found == results.arms.end() ? nullptr : &*found;
}

std::string Beside(const char* what, std::optional<double> quantized, std::optional<double> whole,
                   std::string (*format)(double)) {
  if (!quantized || !whole || *whole == 0) return "";
  return fmt::format("{} {} against {} ({})", what, format(*quantized), format(*whole),
                     FormatShare(*quantized / *whole));
}

// "a; b; c" of those that are there.
std::string Joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts)
    if (!part.empty()) all += (all.empty() ? "" : "; ") + part;
  return all;
}

std::string Differences(const Results& results, const std::vector<Sample>& samples, const ArmInfo& quantized,
                        const ArmInfo& whole) {
  std::vector<std::string> parts;
  for (const std::string& slice : results.LeafSlices()) {
    const std::string metric = PrimaryMetric(results, slice);
    if (!SaysWhatIsRight(metric)) continue;
    const Comparison pair = FindOrMake(results, samples, quantized.name, whole.name, slice, metric);
    if (pair.n == 0) continue;
    parts.push_back(fmt::format("{} {} points ({} to {})", slice, FormatPoints(pair.difference), FormatPoints(pair.low),
                                FormatPoints(pair.high)));
  }
  return Joined(parts);
}

}  // namespace

std::vector<std::string> AnswerQlora(const Results& results, const std::vector<Sample>& samples) {
  std::vector<std::string> said;
  const std::vector<Adapter> adapters = AdaptersOf(results);
  for (const Adapter& quantized : adapters) {
    if (quantized.base == "bf16") continue;
    const auto whole = std::ranges::find_if(
        adapters, [&](const Adapter& other) { return other.base == "bf16" && other.data == quantized.data; });
    if (whole == adapters.end()) continue;
    const auto training = [&](const std::string& adapter, const char* metric) {
      return results.Value(adapter, kTrainingSlice, metric);
    };
    std::vector<std::string> parts = {
        Beside("training peaks at", training(quantized.name, "peak_rss_bytes"), training(whole->name, "peak_rss_bytes"),
               FormatBytes),
        Beside("takes", training(quantized.name, "seconds"), training(whole->name, "seconds"), FormatSeconds)};
    std::string quality;
    for (const char* prompting : {"", "rag"}) {
      const ArmInfo *ours = ArmOf(results, quantized.name, prompting), *theirs = ArmOf(results, whole->name, prompting);
      if (ours == nullptr || theirs == nullptr) continue;
      const auto peak = [&](const ArmInfo& arm) { return results.Value(arm.name, kMemorySlice, "peak_rss_bytes"); };
      parts.push_back(Beside(*prompting == '\0' ? "serving peaks at" : "serving with rag peaks at", peak(*ours),
                             peak(*theirs), FormatBytes));
      if (quality.empty()) quality = Differences(results, samples, *ours, *theirs);
    }
    const std::string figures = Joined(parts);
    if (figures.empty()) continue;
    said.push_back(fmt::format("{} (on {}) beside {} (on bf16): {}.", quantized.name, BaseWord(quantized.base),
                               whole->name, figures));
    if (!quality.empty())
      said.push_back(fmt::format("{} less {}, exploratory: {}.", quantized.name, whole->name, quality));
  }
  if (said.empty())
    said.push_back(
        "Not measured here: no adapter was trained on quantized weights beside one of the same data on whole ones "
        "(adapters: {NAME: {base: gguf}}). memory_math.md has what training takes either way.");
  return said;
}

}  // namespace qad

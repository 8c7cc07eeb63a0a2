#include "decide/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/units.h"
#include "decide/answers.h"

namespace qad {
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

// The arm of this adapter, as it was trained, with the given prompting; null where there is none.
const ArmInfo* ArmOf(const Results& results, const std::string& adapter, const std::string& prompting) {
  const auto found = std::ranges::find_if(results.arms, [&](const ArmInfo& arm) {
    return arm.adapter == adapter && arm.prompting == prompting && arm.IsAsTrained();
  });
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

// Memory that an arm's weights and adapter take once they are loaded.
std::optional<double> ResidentBytes(const Results& results, const std::string& arm) {
  if (const auto of_form = results.Value(arm, kParitySlice, "resident_bytes")) return of_form;
  const auto weights = results.Value(arm, kMemorySlice, "weights_bytes");
  if (!weights) return std::nullopt;
  return *weights + results.Value(arm, kMemorySlice, "adapter_bytes").value_or(0);
}

// What the arm's answers differ from another's, slice by slice.
std::vector<SliceDifference> DifferencesOf(const Results& results, const std::vector<Sample>& samples,
                                           const ArmInfo& arm, const ArmInfo& than) {
  std::vector<SliceDifference> differences;
  for (const std::string& slice : results.LeafSlices()) {
    const std::string metric = PrimaryMetric(results, slice);
    const Row* row = results.Find(arm.name, slice, metric);
    if (row == nullptr || !SaysWhatIsRight(metric)) continue;
    const Comparison pair = FindOrMake(results, samples, arm.name, than.name, slice, metric);
    if (pair.n > 0) differences.push_back({slice, metric, row->value, pair.difference, pair.low, pair.high});
  }
  return differences;
}

bool IsSurelyWorse(const SliceDifference& difference) { return difference.high < 0; }

std::string InWords(const std::vector<SliceDifference>& differences) {
  std::vector<std::string> parts;
  for (const SliceDifference& d : differences)
    parts.push_back(fmt::format("{} {} points ({} to {})", d.slice, FormatPoints(d.difference), FormatPoints(d.low),
                                FormatPoints(d.high)));
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
      if (quality.empty()) quality = InWords(DifferencesOf(results, samples, *ours, *theirs));
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

namespace {

void Judge(DeploymentAnswer& answer) {
  std::vector<SliceDifference> worse;
  std::ranges::copy_if(answer.slices, std::back_inserter(worse), IsSurelyWorse);
  answer.verdict = !worse.empty()                                       ? "lost"
                   : answer.kl_high && *answer.kl_high <= kEquivalentKl ? "kept"
                   : answer.kl_low && *answer.kl_low > kEquivalentKl    ? "differs"
                                                                        : "cannot tell";
  if (answer.verdict == "kept" && answer.slices.empty()) answer.verdict = "kept, not scored";  // it answered nothing
  if (!worse.empty()) answer.basis = InWords(worse);
}

// Names of adapters that were trained on the same data.
std::vector<std::string> SameTraining(const std::vector<Adapter>& adapters, const std::string& name) {
  std::vector<std::string> names = {name};
  const auto own = std::ranges::find(adapters, name, &Adapter::name);
  if (own == adapters.end()) return names;
  for (const Adapter& adapter : adapters)
    if (adapter.data == own->data && adapter.name != name) names.push_back(adapter.name);
  return names;
}

// Sets the remedy, where one was measured: of what is as small, answers no slice surely worse than the trained adapter,
// and has not lost or changed its own behaviour, the smallest.
void FindRemedy(const Results& results, const std::vector<Sample>& samples, const std::vector<Adapter>& adapters,
                const ArmInfo& trained, const std::vector<DeploymentAnswer>& judged, DeploymentAnswer& answer) {
  const std::vector<std::string> names = SameTraining(adapters, answer.adapter);
  double least = 0;
  for (const ArmInfo& arm : results.arms) {
    const auto bytes = ResidentBytes(results, arm.name);
    const auto own = std::ranges::find(judged, arm.name, &DeploymentAnswer::arm);
    if (own != judged.end() && own->verdict != "kept") continue;
    if (!arm.IsCandidate() || arm.name == answer.arm || arm.prompting != trained.prompting || !bytes ||
        !answer.resident_bytes || *bytes > kAsSmall * *answer.resident_bytes ||
        std::ranges::find(names, arm.adapter) == names.end())
      continue;
    const std::vector<SliceDifference> differences = DifferencesOf(results, samples, arm, trained);
    if (differences.empty() || std::ranges::any_of(differences, IsSurelyWorse)) continue;
    if (least > 0 && *bytes >= least) continue;
    least = *bytes;
    answer.remedy = arm.name;
    answer.remedy_basis =
        fmt::format("{} resident; less {}: {}", FormatBytes(*bytes), trained.name, InWords(differences));
  }
}

}  // namespace

std::vector<DeploymentAnswer> AnswerDeployments(const Results& results, const std::vector<Sample>& samples) {
  std::vector<DeploymentAnswer> answers;
  const std::vector<Adapter> adapters = AdaptersOf(results);
  for (const Form& form : results.forms) {
    DeploymentAnswer answer;
    answer.arm = form.arm;
    answer.adapter = form.adapter;
    answer.deployed = form.deployed;
    const ArmInfo* arm = results.Arm(form.arm);
    const ArmInfo* trained = ArmOf(results, form.adapter, arm == nullptr ? "" : arm->prompting);
    answer.resident_bytes = ResidentBytes(results, form.arm);
    if (const Row* kl = results.Find(form.arm, kParitySlice, "kl_divergence")) {
      answer.kl = kl->value;
      answer.kl_low = kl->low;
      answer.kl_high = kl->high;
    }
    answer.same_top1 = results.Value(form.arm, kParitySlice, "same_top1");
    answer.likelihood_lost = results.Value(form.arm, kParitySlice, "log_likelihood_lost");
    if (arm != nullptr && trained != nullptr) answer.slices = DifferencesOf(results, samples, *arm, *trained);
    Judge(answer);
    answers.push_back(std::move(answer));
  }
  const std::vector<DeploymentAnswer> judged = answers;
  for (DeploymentAnswer& answer : answers) {
    const ArmInfo* arm = results.Arm(answer.arm);
    const ArmInfo* trained = ArmOf(results, answer.adapter, arm == nullptr ? "" : arm->prompting);
    if (trained != nullptr && (answer.verdict == "lost" || answer.verdict == "differs"))
      FindRemedy(results, samples, adapters, *trained, judged, answer);
  }
  return answers;
}

}  // namespace qad

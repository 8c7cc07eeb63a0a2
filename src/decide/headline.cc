#include "decide/headline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "base/units.h"
#include "results/statistics.h"

namespace qad {
namespace {

const RuleCheck* FindCheck(const ArmDecision& arm, const std::string& rule) {
  for (const RuleCheck& check : arm.checks)
    if (check.rule == rule) return &check;
  return nullptr;
}

// The best candidate on a required slice that none of them passes; null where one passes or none was measured.
const ArmDecision* BestWhereAllFail(const Decision& decision, const std::string& slice) {
  const ArmDecision* best = nullptr;
  for (const ArmDecision& arm : decision.arms) {
    const RuleCheck* check = arm.candidate ? FindCheck(arm, slice) : nullptr;
    if (!check || !check->value) continue;
    if (check->verdict == "pass") return nullptr;
    if (!best || *check->value > *FindCheck(*best, slice)->value) best = &arm;
  }
  return best;
}

}  // namespace

const ArmDecision* Closest(const Decision& decision) {
  const ArmDecision* closest = nullptr;
  const auto distance = [](const ArmDecision& arm) {
    const auto count = [&](const char* verdict) {
      return std::count_if(arm.checks.begin(), arm.checks.end(), [&](const auto& c) { return c.verdict == verdict; });
    };
    double reached = 1;  // of the floor that is missed by most
    for (const RuleCheck& check : arm.checks)
      if (check.unit == "share" && check.limit > 0) reached = std::min(reached, check.low.value_or(0) / check.limit);
    return std::tuple(count("fail"), count("unproven"), -reached);
  };
  for (const ArmDecision& arm : decision.arms)
    if (arm.candidate && (!closest || distance(arm) < distance(*closest))) closest = &arm;
  return closest;
}

namespace {

// Whether the closest arm fails outright, or is only not proven, and what is best on slices that no arm passes.
std::string WhyNone(const Decision& decision) {
  const ArmDecision* closest = Closest(decision);
  if (!closest) return "No arm was measured.";
  const RuleCheck* check = FindCheck(*closest, closest->first_failed);
  if (!check) return "No arm was held against a rule.";
  std::string why = fmt::format("Closest is {}: {} {}, {}.", closest->arm, check->rule,
                                check->verdict == "fail" ? "fails" : "is unproven", DescribeCheck(*check));
  std::string reasons;
  for (const RequiredSlice& slice : decision.required)
    if (const ArmDecision* best = BestWhereAllFail(decision, slice.slice)) {
      const RuleCheck& of = *FindCheck(*best, slice.slice);
      reasons += fmt::format("{}{} {} with {}", reasons.empty() ? "" : "; ", slice.slice, best->arm, DescribeCheck(of));
    }
  if (!reasons.empty()) why += " Best where no arm passes: " + reasons + ".";
  return why;
}

std::string ItemsWord(const RuleCheck& check) {
  const bool passes = check.value && *check.value >= check.limit;
  return fmt::format("would be settled, as a {}, in four of five runs of {} items at the rate seen",
                     passes ? "pass" : "fail", FormatCount(static_cast<double>(*check.items_needed)));
}

std::string ItemsNeededOf(const ArmDecision& arm) {
  std::string text;
  for (const RuleCheck& check : arm.checks)
    if (check.items_needed) text += fmt::format("{}{} {}", text.empty() ? "" : "; ", check.rule, ItemsWord(check));
  return text;
}

std::vector<std::string> HeadlineOfNone(const Decision& decision) {
  std::vector<std::string> lines = {"Recommendation: none of the arms.", WhyNone(decision)};
  const ArmDecision* closest = Closest(decision);
  const bool fails =
      closest != nullptr && std::ranges::any_of(closest->checks, [](const auto& c) { return c.verdict == "fail"; });
  const std::string needed = closest == nullptr || fails ? "" : ItemsNeededOf(*closest);
  std::string sure = decision.nothing
                         ? fmt::format("In {} of {} resamples no arm passes", FormatShare(*decision.nothing),
                                       FormatCount(static_cast<double>(decision.resamples)))
                         : "How firm this is was not computed";
  if (!needed.empty()) sure += fmt::format("; for {}: {}", closest->arm, needed);
  lines.push_back(sure + ".");
  return lines;
}

// What is in a total beside its queries.
std::string PartsOf(const Costs& costs) {
  std::string parts = "training and updates";
  if (costs.set_up > 0) parts = "training, people's hours and updates";
  return costs.errors > 0 ? parts + ", " + FormatMoney(costs.errors) + " of it for answers that are not right" : parts;
}

std::string CostLine(const Decision& decision, const ArmDecision& arm) {
  std::string line;
  if (const RuleCheck* memory = FindCheck(arm, "memory"); memory && memory->value)
    line += fmt::format("{} resident at its peak, ", FormatBytes(*memory->value));
  if (const RuleCheck* latency = FindCheck(arm, "latency p95"); latency && latency->value)
    line += fmt::format("p95 {}, ", FormatSeconds(*latency->value));
  return line + fmt::format("{} per 1,000 queries at {} utilization, {} over {} months with {}.",
                            FormatMoney(arm.costs->per_thousand), FormatShare(decision.utilization),
                            FormatMoney(arm.costs->total), FormatNumber(decision.horizon_months), PartsOf(*arm.costs));
}

std::string SureLine(const Decision& decision, const ArmDecision& arm) {
  if (!arm.chosen) return "How firm this is was not computed.";
  std::string line = fmt::format("Chosen in {} of {} resamples", FormatShare(*arm.chosen),
                                 FormatCount(static_cast<double>(decision.resamples)));
  if (!decision.runner_up.empty()) {
    const ArmDecision* other = decision.Arm(decision.runner_up);
    line += fmt::format(", {} in {}", decision.runner_up, FormatShare(other ? *other->chosen : *decision.nothing));
  }
  line += " (a frequency, not the probability of being right).";
  return decision.required.empty() ? line + " No floor is set: quality decided nothing." : line;
}

std::string UnprovenLine(const ArmDecision& arm, const RuleCheck& check) {
  std::string line = fmt::format("{} on {}: {} is unproven", arm.arm, check.rule, DescribeCheck(check));
  if (check.items_needed) line += "; it " + ItemsWord(check);
  if (!check.items_needed && check.unit == "share" && *check.value == check.limit)
    line += ": the rate is the floor itself, which no number of items tells apart";
  return line + ".";
}

void AddMeasuring(const Decision& decision, std::vector<std::string>& unknowns) {
  for (const ArmDecision& arm : decision.arms) {
    if (!arm.candidate) continue;
    std::string missing;
    for (const RuleCheck& check : arm.checks) {
      if (check.verdict != "unproven") continue;
      if (check.value)
        unknowns.push_back(UnprovenLine(arm, check));
      else
        missing += (missing.empty() ? "" : ", ") + check.rule;
    }
    if (!missing.empty()) unknowns.push_back(fmt::format("{}: not measured: {}.", arm.arm, missing));
  }
}

// How many items would show the difference that was seen.
std::string ItemsForDifference(const Comparison& comparison, double alpha) {
  if (!comparison.discordance || comparison.difference == 0) return "";
  const double per_cluster = static_cast<double>(comparison.n) / static_cast<double>(comparison.clusters);
  const std::optional<int64_t> pairs =
      PairsToDetect(std::fabs(comparison.difference), *comparison.discordance, kPower, alpha);
  return pairs ? fmt::format("; if that is the true one, {} items would show it in four of five runs",
                             FormatCount(std::ceil(static_cast<double>(*pairs) * per_cluster)))
               : "; if that is the true one, more than 10,000 pairs would be needed to show it";
}

void AddPower(const Results& results, double confidence, std::vector<std::string>& unknowns) {
  const auto declared = std::ranges::count_if(results.comparisons, &Comparison::declared);
  const double alpha = (1 - confidence) / static_cast<double>(std::max<int64_t>(declared, 1));
  for (const Comparison& comparison : results.comparisons)
    if (comparison.declared && comparison.verdict == "cannot tell")
      unknowns.push_back(fmt::format(
          "{} against {} on {} ({}): {} items show differences of {} in four of five runs; {} was seen{}.",
          comparison.better, comparison.than, comparison.slice, comparison.metric, comparison.n,
          FormatDifference(comparison.metric, comparison.detectable).substr(1),
          FormatDifference(comparison.metric, comparison.difference), ItemsForDifference(comparison, alpha)));
}

}  // namespace

std::string DescribeCheck(const RuleCheck& check) {
  const bool floor = check.unit == "share";
  const std::string limit = fmt::format("{} {}", floor ? "floor" : "limit", FormatIn(check.unit, check.limit));
  if (check.rule == "cost") return "not computed: a latency, training, update or count of errors it needs is missing";
  if (!check.value) return "not measured, " + limit;
  if (floor) return fmt::format("{}, {}, n = {}", FormatShare(*check.value, check.low, check.high), limit, check.n);
  std::string text = FormatIn(check.unit, *check.value);
  if (check.low && check.high && *check.high > *check.low)
    text += fmt::format(" ({} to {})", FormatIn(check.unit, *check.low), FormatIn(check.unit, *check.high));
  return text + ", " + limit;
}

std::vector<std::string> Headline(const Decision& decision) {
  const ArmDecision* arm = decision.Arm(decision.recommended);
  if (!arm || !arm->costs) return HeadlineOfNone(decision);
  const std::string first =
      decision.undecided ? fmt::format("{} or {}, undecided; by the rules {}.", arm->arm, decision.runner_up, arm->arm)
                         : arm->arm + ".";
  return {"Recommendation: " + first, CostLine(decision, *arm), SureLine(decision, *arm)};
}

namespace {

void AddLeaks(const Results& results, std::vector<std::string>& unknowns) {
  const auto leaks = results.manifest.find("leaks");
  if (leaks == results.manifest.end() || leaks->empty()) return;
  std::set<std::string> items;
  for (const Json& leak : *leaks) items.insert(leak.value("item", ""));
  unknowns.push_back(fmt::format(
      "{} of the evaluation items stand, word for word or nearly, in training data, calibration texts or documents "
      "(results.json lists the pairs): scores on them may show memory, not skill.",
      items.size()));
}

// What was moved after there were answers to look at.
void AddMoves(const Results& results, const DecideOptions& options, std::vector<std::string>& unknowns) {
  const JsonObject manifest(results.manifest, "manifest");
  if (manifest.Has("withdrawn"))
    for (const Json& comparison : manifest.At("withdrawn"))
      if (comparison.is_string())
        unknowns.push_back(
            "Declared before the run, and taken out when it had been answered: " + comparison.get<std::string>() + ".");
  for (const auto& [key, name] :
       {std::pair("margin", "margin of equivalence"), std::pair("confidence", "confidence")}) {
    if (!manifest.Has(key) || !results.settings.contains("eval")) continue;
    const double then = manifest.Number(key, 0, 1),
                 now = JsonObject(results.settings, "settings").Object("eval").NumberOr(key, 0, 1, then);
    if (now != then)
      unknowns.push_back(fmt::format("The {} is {} now; it was {} when the first answers came.", name,
                                     FormatNumber(now), FormatNumber(then)));
  }
  if (!manifest.Has("floors") || manifest.At("floors") == Json(options.required)) return;
  const JsonObject floors = manifest.Object("floors");
  std::string then;
  for (const auto& [slice, floor] : floors.json().items())
    then += fmt::format("{}{} {}", then.empty() ? "" : ", ", slice, FormatShare(floors.Number(slice, 0, 1)));
  unknowns.push_back("The floors are others than when the first answers came: " + (then.empty() ? "none" : then) +
                     " then.");
}

// "lora: behaviour 52.5%, 50.8%, 54.2%; facts/stable …", over its seeds.
std::string SharesBySeed(const Results& results, const ArmInfo& arm) {
  std::string slices;
  for (const std::string& slice : results.LeafSlices()) {
    const std::string metric = PrimaryMetric(results, slice);
    const Row* own = results.Find(arm.name, slice, metric);
    if (own == nullptr || !SaysWhatIsRight(metric)) continue;
    slices += fmt::format("{}{} {}", slices.empty() ? "" : "; ", slice, FormatShare(own->value));
    for (const ArmInfo& other : results.arms)
      if (other.replica_of == arm.name)
        if (const Row* row = results.Find(other.name, slice, metric)) slices += ", " + FormatShare(row->value);
  }
  return arm.name + ": " + slices;
}

void AddSeeds(const Results& results, std::vector<std::string>& unknowns) {
  bool one_seed = false;
  for (const ArmInfo& arm : results.arms) {
    if (arm.adapter.empty() || !arm.IsCandidate()) continue;
    const bool again = std::ranges::any_of(results.arms, [&](const auto& a) { return a.replica_of == arm.name; });
    one_seed = one_seed || !again;
    if (again) unknowns.push_back("What the training seed moves, in no interval: " + SharesBySeed(results, arm) + ".");
  }
  if (one_seed)
    unknowns.push_back("One training seed: how much another seed would move the adapters' scores is in no interval.");
}

// Every interval speaks for itself alone.
void AddMany(const Decision& decision, std::vector<std::string>& unknowns) {
  const auto candidates = std::ranges::count_if(decision.arms, &ArmDecision::candidate);
  if (candidates < 2 || decision.required.empty()) return;
  unknowns.push_back(fmt::format(
      "{} arms were held against the floors, each with its own interval: among many one may pass by chance, "
      "and what leads on a slice is likely to lead by less on new items.",
      candidates));
}

// Adapters whose last validation was their best.
void AddTraining(const Results& results, std::vector<std::string>& unknowns) {
  std::string names;
  for (const Curve& curve : results.curves) {
    const auto& scores = curve.validation_scores;
    const auto earlier = [&] { return *std::max_element(scores.begin(), scores.end() - 1); };
    if (scores.size() < 2 || scores.back() <= earlier()) continue;
    names += (names.empty() ? "" : ", ") + curve.arm;
  }
  if (!names.empty())
    unknowns.push_back("Trained until the last step, which was the best on dev: " + names +
                       ". What longer training would bring is not known.");
}

void AddPrices(const DecideOptions& options, std::vector<std::string>& unknowns) {
  unknowns.push_back(
      "Costs are of questions and answers as long as those of this evaluation, in the currency of "
      "hardware.price_per_hour.");
  unknowns.push_back(
      options.human_hour_price
          ? "Hours of people are as decide.human_hours states them: nobody measured them."
          : "Hours of people have no price here (decide.human_hour_price): they are left out of every cost.");
  const AnswerPrices& prices = options.answers;
  std::string missing;
  for (const auto& [price, name] : {std::pair(prices.wrong, "wrong"), std::pair(prices.stale, "stale"),
                                    std::pair(prices.refused, "falsely refused")})
    if (!price) missing += (missing.empty() ? "" : " or ") + std::string(name);
  if (!missing.empty())
    unknowns.push_back("A " + missing +
                       " answer has no price here (decide.answer_prices): it is left out of every cost.");
}

// Why retrieval answers whatever it finds. All arms that look up share one index and one rule; those that were scored
// before it was decided have neither row.
void AddRefusal(const Results& results, std::vector<std::string>& unknowns) {
  const auto has = [&](const ArmInfo& arm, const char* metric) {
    return results.Find(arm.name, kRetrievalSlice, metric) != nullptr;
  };
  const bool looks_up = std::ranges::any_of(results.arms, [](const ArmInfo& arm) { return arm.prompting == "rag"; });
  const bool refuses =
      std::ranges::any_of(results.arms, [&](const ArmInfo& arm) { return has(arm, "refusal_threshold"); });
  if (!looks_up || refuses) return;
  const auto judged =
      std::ranges::find_if(results.arms, [&](const ArmInfo& arm) { return has(arm, "dev_refusal_auc"); });
  const Row* auc =
      judged == results.arms.end() ? nullptr : results.Find(judged->name, kRetrievalSlice, "dev_refusal_auc");
  std::string why =
      "dev has no questions of either kind, answerable and unanswerable, to set a threshold on, or none is wanted";
  if (auc != nullptr)
    why = fmt::format(
        "on {} questions of dev that tells answerable from unanswerable ones with an AUC of {:.2f}, too "
        "little (0.70) or on too few of either to set a threshold",
        auc->n, auc->value);
  unknowns.push_back("Retrieval refuses nothing by its score: " + why + ".");
}

}  // namespace

std::vector<std::string> Unknowns(const Decision& decision, const Results& results, const DecideOptions& options,
                                  const std::vector<std::string>& fixed) {
  std::vector<std::string> unknowns;
  if (decision.partial)
    unknowns.push_back("This is a partial run: it shows that the parts work; a few items decide nothing.");
  AddMoves(results, options, unknowns);
  AddLeaks(results, unknowns);
  AddMeasuring(decision, unknowns);
  AddPower(results, options.confidence, unknowns);
  AddRefusal(results, unknowns);
  if (const std::string topics = decision.TopicsNotEvaluated(); !topics.empty())
    unknowns.push_back("Not evaluated here: " + topics + ".");
  AddSeeds(results, unknowns);
  AddTraining(results, unknowns);
  AddMany(decision, unknowns);
  if (options.memory_budget == 0) unknowns.push_back("No memory budget was given: memory limits nothing here.");
  if (decision.resamples == 0)
    unknowns.push_back(
        "How firm the choice is was not computed: there are no samples, or no draws of them were asked for.");
  for (const std::string& arm : fixed)
    unknowns.push_back(fmt::format("{} has no samples: its quality was held at its row while resampling.", arm));
  AddPrices(options, unknowns);
  return unknowns;
}

}  // namespace qad

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/units.h"
#include "report/memo_sensitivity.h"
#include "report/pages.h"

namespace qad {
namespace {

std::string Percent(double share) { return FormatShare(share); }

void SayRecommendation(const Decision& decision, Document& page) {
  page.Section("Recommendation");
  for (size_t i = 0; i < decision.headline.size(); ++i)
    page.Say(i == 0 ? Strong(decision.headline[i]) : Text(decision.headline[i]), Tone::kLead);
}

// Who wins, by how much, and what word may be said of it.
Text WinnerText(const TopicAnswer& topic) {
  std::string name = topic.topic;
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  Text text = Strong(name + (topic.slice == topic.topic ? "" : " (" + topic.slice + ")") + ".") + " ";
  if (topic.winner.empty()) return text + "No arm was scored on it: cannot tell here.";
  if (*topic.value == 0)
    return text + fmt::format("No arm has anything right ({}): nothing leads, and nothing is compared.", topic.metric);
  text += fmt::format("{} leads with {} ({})", topic.winner, FormatShare(*topic.value, topic.low, topic.high),
                      topic.metric);
  if (topic.opponent.empty()) return text + "; no arm of another kind was scored on it, so nothing is compared.";
  text += fmt::format("; the best of another kind is {} with {}", topic.opponent, FormatShare(*topic.opponent_value));
  if (!topic.difference) return text + ". No items were scored by both: " + VerdictText("cannot tell") + ".";
  text += fmt::format(". Difference {} points ({} to {}), {}: ", FormatPoints(*topic.difference),
                      FormatPoints(*topic.difference_low), FormatPoints(*topic.difference_high),
                      topic.declared ? "declared before the run" : "not declared before the run");
  if (topic.declared) return text + VerdictText(topic.verdict) + ".";
  const bool apart = *topic.difference_low > 0 || *topic.difference_high < 0;
  return text + VerdictText("exploratory") +
         (apart ? ", the interval leaves zero out." : ", the interval includes zero.");
}

// What was asked before the run, of a topic's slice or one that it is a part of.
void SayDeclared(const Pack& pack, const TopicAnswer& topic, std::set<const Comparison*>& said, Document& page) {
  for (const Comparison& pair : pack.results.comparisons) {
    const bool is_topics = pair.slice == topic.slice || topic.slice.starts_with(pair.slice + "/");
    const bool is_told = topic.declared && pair.slice == topic.slice && pair.metric == topic.metric &&
                         ((pair.better == topic.winner && pair.than == topic.opponent) ||
                          (pair.than == topic.winner && pair.better == topic.opponent));
    if (!pair.declared || !is_topics || is_told) continue;
    if (said.insert(&pair).second)
      page.Say(fmt::format("Asked before the run: {} − {} on {} ({}): {}, n = {}, ", pair.better, pair.than, pair.slice,
                           pair.metric, FormatDifference(pair.metric, pair.difference, pair.low, pair.high), pair.n) +
               VerdictText(pair.verdict) + ".");
  }
}

// What the winner's refusals cost: answerable questions that it refuses, too.
std::string FalseRefusals(const Results& results, const TopicAnswer& topic) {
  std::string all;
  if (topic.metric != "correct_refusal") return all;
  for (const std::string& slice : results.LeafSlices()) {
    const Row* row = results.Find(topic.winner, slice, "false_refusal");
    if (row == nullptr || row->value == 0) continue;
    all += fmt::format("{}{} of {}", all.empty() ? "" : ", ", FormatShare(row->value, row->low, row->high), slice);
  }
  return all.empty() ? all : fmt::format(" It refuses answerable questions, too: {}.", all);
}

// An old value, or what a document told it to say.
std::string RejectedAnswers(const Results& results, const TopicAnswer& topic) {
  const Row* row = results.Find(topic.winner, topic.slice, "stale");
  if (row == nullptr || row->value == 0) return "";
  return fmt::format(" It gives a rejected answer to {}.", FormatShare(row->value, row->low, row->high));
}

void SayTopics(const Pack& pack, Document& page) {
  const Decision& decision = *pack.decision;
  page.Section("Prompt, PEFT or RAG?");
  std::set<const Comparison*> said;
  for (const TopicAnswer& topic : decision.topics) {
    if (topic.slice.empty()) continue;
    Text text = WinnerText(topic);
    if (topic.baseline_value)
      text += fmt::format(" Without a language model, {} has {}.", topic.baseline, FormatShare(*topic.baseline_value));
    text += FalseRefusals(pack.results, topic);
    text += RejectedAnswers(pack.results, topic);
    page.Say(text);
    SayDeclared(pack, topic, said, page);
  }
  if (const std::string topics = decision.TopicsNotEvaluated(); !topics.empty())
    page.Say("Not evaluated here: " + topics + ".");
}

Text ShareCell(const ShareAnswer& share) {
  return share.value ? Text(FormatShare(*share.value, share.low, share.high)) : Missing();
}

void SayFreshness(const Decision& decision, Document& page) {
  page.Section("When facts change");
  if (decision.freshness.empty()) {
    page.Say("No slice of facts that changed was evaluated.");
  } else {
    Table table{
        {{"arm"},
         {"has the facts in"},
         {"before: stay", Align::kRight},
         {"before: will change", Align::kRight},
         {"now: stayed", Align::kRight},
         {"now: changed", Align::kRight},
         {"old value given", Align::kRight},
         {"one update takes", Align::kRight},
         {"and costs", Align::kRight}},
        {},
        "Shares answered right before the change and now, on the facts that stayed and on those that changed, and "
        "of the latter the share answered with the old value now. Before, passages came from the documents of "
        "then; an adapter that was trained before the change, or none, answers as it did. An update is the "
        "index made again, or the training and its evaluation.",
        {}};
    for (const FreshnessAnswer& answer : decision.freshness)
      table.rows.push_back({answer.arm, answer.holds, ShareCell(answer.stable_before), ShareCell(answer.changed_before),
                            ShareCell(answer.stable), ShareCell(answer.changed), ShareCell(answer.stale),
                            answer.update_seconds ? Text(FormatSeconds(*answer.update_seconds)) : Missing(),
                            answer.update_price ? Text(FormatMoney(*answer.update_price)) : Missing()});
    page.Add(std::move(table));
  }
  std::string weekly;
  for (const std::string& sentence : decision.weekly) weekly += (weekly.empty() ? "" : " ") + sentence;
  page.Say(Text(Strong("What if facts change weekly?")) + " " + weekly +
           " Changes are simulated at a stated rate; nobody has waited for them.");
}

// Whether what was trained arrives: only where it was served otherwise than it was trained.
void SayParity(const Decision& decision, Document& page) {
  if (decision.deployment.empty()) return;
  std::string kept, all;
  for (const DeploymentAnswer& answer : decision.deployment) {
    if (answer.verdict.starts_with("kept")) kept += (kept.empty() ? "" : ", ") + answer.arm;
    if (const std::string warning = DeploymentWarning(answer); !warning.empty()) all += " " + warning;
  }
  if (!kept.empty())
    kept = fmt::format(" As in training (KL divergence within {} nats): {}.", FormatNumber(kEquivalentKl), kept);
  if (kept.empty() && all.empty()) return;
  page.Say(Text(Strong("Does what was trained survive deployment?")) + kept + all);
}

void SayQlora(const Decision& decision, Document& page) {
  std::string all;
  for (const std::string& sentence : decision.qlora) all += (all.empty() ? "" : " ") + sentence;
  page.Say(Text(Strong("Is QLoRA worth it?")) + " " + all);
}

std::string Shrink(const std::optional<double>& ours, const std::optional<double>& base) {
  if (!ours || !base) return "not measured";
  return fmt::format("{} against {} ({})", FormatBytes(*ours), FormatBytes(*base), FormatShare(*ours / *base));
}

std::string Speedup(const std::optional<double>& ours, const std::optional<double>& base, std::optional<bool> tie) {
  if (!ours || !base) return "not measured";
  return fmt::format("{} against {} tok/s ({:.2f}×{})", FormatRate(*ours), FormatRate(*base), *ours / *base,
                     tie.value_or(false) ? ", a tie: rounds of both overlap" : "");
}

// In words, how the weights of an arm came about.
std::string HowMade(const Results& results, const std::string& arm) {
  const ArmInfo* info = results.Arm(arm);
  return info == nullptr || info->made.empty() ? "" : " (" + info->made + ")";
}

bool IsSmaller(const QuantizationAnswer& answer) {
  return !answer.weights_bytes || !answer.base_weights_bytes || *answer.weights_bytes < *answer.base_weights_bytes;
}

void SayQuantization(const Pack& pack, Document& page) {
  page.Section("Quantization");
  const std::vector<QuantizationAnswer>& answers = pack.decision->quantization;
  if (answers.empty()) {
    page.Say("No arm with quantized weights alone was measured beside the base.");
    return;
  }
  const auto smallest =
      std::find_if(answers.begin(), answers.end(), [](const auto& a) { return a.verdict == "equivalent"; });
  if (smallest == answers.end())
    page.Say("No quantized artefact was shown to be equivalent to the base.");
  else
    page.Say(Text("The smallest artefact that is equivalent within the margin: ") + Strong(smallest->arm) + " (" +
             smallest->basis + (IsSmaller(*smallest) ? ")." : "), which is not smaller than the base."));
  for (const QuantizationAnswer& answer : answers)
    page.Say(Text(answer.arm + HowMade(pack.results, answer.arm) + ": ") + VerdictText(answer.verdict) + ", " +
             answer.basis + ". Weights " + Shrink(answer.weights_bytes, answer.base_weights_bytes) + "; decode " +
             Speedup(answer.decode, answer.base_decode, answer.decode_tie) + "; prefill " +
             Speedup(answer.prefill, answer.base_prefill, answer.prefill_tie) + ".");
  const QuantizationAnswer& shown = smallest == answers.end() ? answers.front() : *smallest;
  if (shown.kv_bytes && shown.base_kv_bytes)
    page.Say(fmt::format(
        "What it does not do: the KV cache takes {} with {} and {} with {}; it grows with context and batch as before.",
        FormatBytes(*shown.kv_bytes), shown.arm, FormatBytes(*shown.base_kv_bytes), shown.base));
  SaySourceFormat(pack, page);
}

std::string CheckText(const RuleCheck& check) {
  if (check.rule == "cost") return "a latency, training, update or count of errors it needs is missing";
  const std::string limit = FormatIn(check.unit, check.limit);
  if (!check.value) return "not measured (limit " + limit + ")";
  if (check.unit == "share")
    return fmt::format("{}, floor {}, n = {}", FormatShare(*check.value, check.low, check.high), limit, check.n);
  return fmt::format("{}, limit {}", FormatIn(check.unit, *check.value), limit);
}

void SayOthers(const Decision& decision, Document& page) {
  page.Section("Why not the others");
  Table table{{{"arm"},
               {"eligible"},
               {"adequate"},
               {"first rule it does not pass"},
               {"figures"},
               {"chosen in", Align::kRight},
               {fmt::format("cost of {} months", FormatNumber(decision.horizon_months)), Align::kRight}},
              {},
              "",
              {}};
  for (const ArmDecision& arm : decision.arms) {
    if (!arm.candidate) continue;
    const auto check =
        std::find_if(arm.checks.begin(), arm.checks.end(), [&](const auto& c) { return c.rule == arm.first_failed; });
    std::string rule = "none: passes, but is not the cheapest", figures;
    if (arm.arm == decision.recommended) {
      rule = "none: recommended";
      table.chosen = table.rows.size();
    } else if (check != arm.checks.end()) {
      rule = check->rule + " " + (check->verdict == "fail" ? "fails" : "is unproven");
      figures = CheckText(*check);
    }
    table.rows.push_back({arm.arm, VerdictText(arm.eligible),
                          decision.required.empty() ? Missing() : VerdictText(arm.adequate), rule, figures,
                          arm.chosen ? Text(Percent(*arm.chosen)) : Missing(),
                          arm.costs ? Text(FormatMoney(arm.costs->total)) : Missing()});
  }
  page.Add(std::move(table));
  if (decision.required.empty())
    page.Say(
        "No floor is set (decide.required): no quality is held against anything, the choice rests on limits and cost "
        "alone.");
}

void SayPattern(const Decision& decision, Document& page) {
  page.Section("The expected pattern, checked");
  Table table{{{"statement"}, {"here"}, {"figure"}}, {}, "", {}};
  for (const PatternStatement& statement : decision.pattern)
    table.rows.push_back({statement.statement, VerdictText(statement.verdict), statement.figure});
  page.Add(std::move(table));
}

void SayUnknowns(const Decision& decision, Document& page) {
  page.Section("What we do not know");
  Bullets list;
  for (const std::string& unknown : decision.unknowns) list.items.emplace_back(unknown);
  page.Add(std::move(list));
}

void SayCommands(const Pack& pack, Document& page) {
  page.Section("Do it");
  std::string config = ManifestText(pack.results, "config", "path");
  if (config.empty()) config = "config.yaml";
  CodeBlock code;
  const Decision& decision = *pack.decision;
  const bool recommended = !decision.recommended.empty();
  const std::string& name = recommended ? decision.recommended : decision.closest;
  if (!recommended && !name.empty())
    code.lines.push_back("# no arm is recommended; " + name + " is the closest to passing");
  if (const ArmInfo* arm = pack.results.Arm(name)) {
    code.lines.push_back("# answer a question with " + arm->name);
    code.lines.push_back(arm->command.empty() ? fmt::format("qad ask --config {} --arm '{}'", config, name)
                                              : arm->command);
    if (arm->prompting == "rag") {
      code.lines.push_back("# after a change of the documents");
      code.lines.push_back("qad index --config " + config);
    } else if (!arm->adapter.empty()) {
      code.lines.push_back("# after a change of the facts");
      code.lines.push_back("qad train --config " + config + " && qad eval --config " + config);
    }
  }
  code.lines.push_back("# measure again what has changed, and write this memo again");
  code.lines.push_back("qad run --config " + config);
  code.lines.push_back("# other constraints or prices, same measurements: no model is run");
  code.lines.push_back("qad decide --config " + config);
  page.Add(std::move(code));
}

}  // namespace

Document MemoPage(const Pack& pack) {
  Document page{"Decision memo: " + ModelName(pack), "memo", {}};
  SayPartial(pack, page);
  if (!pack.decision) {
    page.Say(
        pack.results.manifest.contains("other_adapter")
            ? "These results are of an adapter from elsewhere, named by --adapter-path: nothing is decided on them."
            : "No decision was made on these results: qad decide makes it.");
    return page;
  }
  SayRecommendation(*pack.decision, page);
  SayTopics(pack, page);
  SayFreshness(*pack.decision, page);
  SayQuantization(pack, page);
  SayQlora(*pack.decision, page);
  SayParity(*pack.decision, page);
  SayOthers(*pack.decision, page);
  SaySensitivity(pack, page);
  SayPattern(*pack.decision, page);
  SayUnknowns(*pack.decision, page);
  SayCommands(pack, page);
  return page;
}

}  // namespace qad

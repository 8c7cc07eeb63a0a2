#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/charts.h"
#include "report/pages.h"
#include "report/svg.h"

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

void SayTopics(const Decision& decision, Document& page) {
  page.Section("Prompt, PEFT or RAG?");
  for (const TopicAnswer& topic : decision.topics) {
    if (topic.slice.empty()) continue;
    Text text = WinnerText(topic);
    if (topic.baseline_value)
      text += fmt::format(" Without a language model, {} has {}.", topic.baseline, FormatShare(*topic.baseline_value));
    page.Say(text);
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
    Table table{{{"arm"},
                 {"has the facts in"},
                 {"facts that stayed", Align::kRight},
                 {"facts that changed", Align::kRight},
                 {"old value given", Align::kRight},
                 {"one update takes", Align::kRight},
                 {"and costs", Align::kRight}},
                {},
                "Right answers and, of the facts that changed, old values given for them; an adapter that was trained "
                "before the "
                "change had these right then. An update is the index made again, or the training and its evaluation.",
                {}};
    for (const FreshnessAnswer& answer : decision.freshness)
      table.rows.push_back({answer.arm, answer.holds, ShareCell(answer.stable), ShareCell(answer.changed),
                            ShareCell(answer.stale),
                            answer.update_seconds ? Text(FormatSeconds(*answer.update_seconds)) : Missing(),
                            answer.update_price ? Text(FormatMoney(*answer.update_price)) : Missing()});
    page.Add(std::move(table));
  }
  std::string weekly;
  for (const std::string& sentence : decision.weekly) weekly += (weekly.empty() ? "" : " ") + sentence;
  page.Say(Text(Strong("What if facts change weekly?")) + " " + weekly +
           " Changes are simulated at a stated rate; nobody has waited for them.");
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

std::string Speedup(const std::optional<double>& ours, const std::optional<double>& base) {
  if (!ours || !base) return "not measured";
  return fmt::format("{} against {} tok/s ({:.2f}×)", FormatRate(*ours), FormatRate(*base), *ours / *base);
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
             Speedup(answer.decode, answer.base_decode) + "; prefill " + Speedup(answer.prefill, answer.base_prefill) +
             ".");
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
               {"total cost", Align::kRight}},
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

Table FlipTable(const Decision& decision) {
  Table table{{{"constraint"},
               {"now", Align::kRight},
               {"answer flips at", Align::kRight},
               {"new winner"},
               {"distance", Align::kRight}},
              {},
              "",
              {}};
  for (const Flip& flip : decision.flips) {
    const auto in = [&](double value) { return FormatIn(flip.unit, value); };
    if (flip.at)
      table.rows.push_back({flip.constraint, in(flip.now), in(*flip.at), flip.winner.empty() ? "no arm" : flip.winner,
                            fmt::format("{:.0f}%", 100 * flip.distance)});
    else
      table.rows.push_back({flip.constraint, in(flip.now),
                            Muted(fmt::format("not from {} to {}", in(flip.searched_low), in(flip.searched_high))),
                            Missing(), Missing()});
  }
  std::stable_sort(table.rows.begin(), table.rows.end(), [](const auto& a, const auto& b) {
    return a[2].spans[0].style == Style::kPlain && b[2].spans[0].style != Style::kPlain;
  });
  return table;
}

// The arms of a map in order of first appearance, with a letter each.
std::vector<std::string> NamesOf(const WinnerMap& map) {
  std::vector<std::string> names;
  for (const auto& row : map.winners)
    for (const std::string& winner : row)
      if (std::find(names.begin(), names.end(), winner) == names.end()) names.push_back(winner);
  return names;
}

std::string NameOf(const std::string& winner) { return winner.empty() ? "no arm" : winner; }

Table MapTable(const Decision& decision, const WinnerMap& map) {
  Table table{{{"changes per month", Align::kRight}}, {}, "", {}};
  for (const double queries : map.queries_per_month)
    table.columns.push_back(
        {FormatNumber(queries) + (queries == decision.queries_per_month ? " queries (now)" : " queries"),
         Align::kCenter});
  for (size_t r = map.winners.size(); r-- > 0;) {
    const double changes = map.changes_per_month[r];
    std::vector<Text> cells = {FormatNumber(changes) + (changes == decision.changes_per_month ? " (now)" : "")};
    for (const std::string& winner : map.winners[r]) cells.push_back(NameOf(winner));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Picture MapPicture(const Pack& pack, const WinnerMap& map, const std::string& title, const std::string& caption) {
  ChartMap chart;
  const std::vector<std::string> names = NamesOf(map);
  for (const std::string& name : names) {
    chart.names.push_back(NameOf(name));
    // The arm's colour, or the next that no other arm of the map has: there are fewer colours than arms.
    size_t colour = (name.empty() ? kColours - 1 : ColourOf(pack.results, name)) % kColours;
    while (chart.colours.size() < kColours && std::ranges::find(chart.colours, colour) != chart.colours.end())
      colour = (colour + 1) % kColours;
    chart.colours.push_back(colour);
  }
  for (const double queries : map.queries_per_month) chart.columns.push_back(FormatNumber(queries));
  for (const double changes : map.changes_per_month) chart.rows.push_back(FormatNumber(changes));
  for (const auto& row : map.winners) {
    std::vector<size_t>& cells = chart.cells.emplace_back();
    for (const std::string& winner : row)
      cells.push_back(static_cast<size_t>(std::find(names.begin(), names.end(), winner) - names.begin()));
  }
  const auto index = [](const std::vector<double>& axis, double now) {
    return static_cast<size_t>(std::find(axis.begin(), axis.end(), now) - axis.begin());
  };
  chart.now_row = index(map.changes_per_month, pack.decision->changes_per_month);
  chart.now_column = index(map.queries_per_month, pack.decision->queries_per_month);
  return {MapChart(title, "queries per month", "changes per month", chart), caption};
}

void SayMap(const Pack& pack, const WinnerMap& map, const std::string& what, Document& page) {
  if (map.winners.empty()) return;
  const std::vector<std::string> names = NamesOf(map);
  if (names.size() == 1) {
    page.Say(fmt::format("{}: {} at every one of {} to {} queries and {} to {} changes per month.", what,
                         NameOf(names[0]), FormatNumber(map.queries_per_month.front()),
                         FormatNumber(map.queries_per_month.back()), FormatNumber(map.changes_per_month.front()),
                         FormatNumber(map.changes_per_month.back())));
    return;
  }
  page.Say(what + ":");
  page.Add(MapTable(*pack.decision, map));
  page.Add(MapPicture(pack, map, what, what + ", over queries and changes per month."));
}

Text BreakEvenCell(const BreakEven& even) {
  if (even.answer != "from") return even.answer;
  return fmt::format("from {} changes per month ({} to {})", FormatNumber(*even.changes), FormatNumber(*even.low),
                     FormatNumber(*even.high));
}

void SayBreakEven(const Decision& decision, Document& page) {
  if (decision.break_even.empty()) {
    page.Say(
        "The break-even of RAG against retraining needs the latency and the time to update of an arm of each kind; "
        "they were not "
        "measured.");
    return;
  }
  Table table{{{"RAG"},
               {"adapter"},
               {"RAG costs less"},
               {"RAG − adapter per 1,000 queries", Align::kRight},
               {"retrain − re-index per change", Align::kRight}},
              {},
              "",
              {}};
  for (const BreakEven& even : decision.break_even)
    table.rows.push_back({even.rag, even.lora, BreakEvenCell(even), FormatMoney(1000 * even.query_difference),
                          FormatMoney(even.update_difference)});
  page.Say(
      fmt::format("Break-even at {} queries per month, by cost (with people's hours and answers that are not right, "
                  "where these have "
                  "a price); in brackets the spread over the rounds of speed measurement:",
                  FormatNumber(decision.queries_per_month)));
  page.Add(std::move(table));
}

void SayFlips(const Pack& pack, Document& page) {
  const Decision& decision = *pack.decision;
  page.Section("What would change this answer");
  page.Say("Each constraint moved alone, the rest as it is; the flip is searched on the rule itself.");
  page.Add(FlipTable(decision));
  SayMap(pack, decision.map, "The winner by all rules", page);
  SayBreakEven(decision, page);
  if (!decision.break_even.empty())
    SayMap(pack, decision.cheaper,
           fmt::format("The cheaper of {} and {}", decision.break_even[0].rag, decision.break_even[0].lora), page);
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
  const ArmInfo* arm = pack.results.Arm(pack.decision->recommended);
  if (arm) {
    code.lines.push_back("# answer a question with " + arm->name);
    code.lines.push_back(arm->command.empty() ? "qad ask --config " + config : arm->command);
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
  code.lines.push_back("# other constraints or prices, same measurements: milliseconds");
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
  SayTopics(*pack.decision, page);
  SayFreshness(*pack.decision, page);
  SayQuantization(pack, page);
  SayQlora(*pack.decision, page);
  SayOthers(*pack.decision, page);
  SayFlips(pack, page);
  SayPattern(*pack.decision, page);
  SayUnknowns(*pack.decision, page);
  SayCommands(pack, page);
  return page;
}

}  // namespace qad

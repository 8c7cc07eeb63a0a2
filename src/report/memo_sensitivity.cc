#include "report/memo_sensitivity.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/charts.h"
#include "report/svg.h"

namespace qad {
namespace {

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
                            Muted(fmt::format("not between {} and {}", in(flip.searched_low), in(flip.searched_high))),
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
    page.Say(fmt::format("{}: {} between {} and {} queries and {} and {} changes per month.", what,
                         names[0].empty() ? "no arm passes anywhere" : names[0] + " everywhere",
                         FormatNumber(map.queries_per_month.front()), FormatNumber(map.queries_per_month.back()),
                         FormatNumber(map.changes_per_month.front()), FormatNumber(map.changes_per_month.back())));
    return;
  }
  page.Say(what + ":");
  page.Add(MapTable(*pack.decision, map));
  page.Add(MapPicture(pack, map, what, what + ", over queries and changes per month."));
}

std::string NumberOf(const Threshold& threshold) { return FormatNumber(threshold.at); }

std::string ThresholdWords(const Threshold& threshold) {
  const bool has_number = threshold.answer == "from" || threshold.answer == "up to";
  return has_number ? threshold.answer + " " + NumberOf(threshold) : threshold.answer;
}

bool Holds(const Threshold& threshold, double at) {
  if (threshold.answer == "from") return at >= threshold.at;
  return threshold.answer == "up to" ? at <= threshold.at : threshold.answer == "always";
}

// "from 94 (87 to 100)"; where the spread reaches another answer: "from 5.8 (always … from 13)".
std::string SpreadWords(const Threshold& middle, const Threshold& best, const Threshold& worst) {
  const std::string words = ThresholdWords(middle), least = ThresholdWords(best), most = ThresholdWords(worst);
  if (least == words && most == words) return words;
  if (best.answer == middle.answer && worst.answer == middle.answer)
    return fmt::format("{} ({} to {})", words, NumberOf(best), NumberOf(worst));
  return fmt::format("{} ({} … {})", words, least, most);
}

// With what that says of today's changes.
std::string ChangesWords(const BreakEven& even, double now) {
  const bool undecided = Holds(even.best, now) != Holds(even.worst, now);
  return SpreadWords(even.middle, even.best, even.worst) +
         (undecided ? fmt::format("; at today's {} undecided", FormatNumber(now)) : "");
}

void SayBreakEven(const Decision& decision, Document& page) {
  if (decision.break_even.empty()) {
    page.Say(
        "The break-even of RAG against retraining needs the latency and the time to update of an arm of each kind; "
        "they were not measured.");
    return;
  }
  Table table{{{"RAG"},
               {"adapter"},
               {"RAG costs less, changes per month"},
               {"RAG − adapter per 1,000 queries", Align::kRight},
               {"retrain − re-index per change", Align::kRight}},
              {},
              "",
              {}};
  for (const BreakEven& even : decision.break_even)
    table.rows.push_back({even.rag, even.lora, ChangesWords(even, decision.changes_per_month),
                          FormatMoney(1000 * even.query_difference), FormatMoney(even.update_difference)});
  page.Say(
      fmt::format("Break-even of changes at {} queries per month, by running costs alone (without training and set-up; "
                  "with people's hours and answers that "
                  "are not right, where these have a price); in brackets the spread over the rounds of speed "
                  "measurement:",
                  FormatNumber(decision.queries_per_month)));
  page.Add(std::move(table));
}

// A row for each arm that takes work beforehand, a column for each that it might replace.
void SayPayBack(const Decision& decision, Document& page) {
  if (decision.pay_back.empty()) return;
  std::vector<std::string> arms, opponents;
  const auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const PayBack& pair : decision.pay_back) {
    add(arms, pair.arm);
    add(opponents, pair.than);
  }
  Table table{{{"arm"}}, {}, "", {}};
  for (const std::string& than : opponents) table.columns.push_back({"instead of " + than});
  for (const std::string& arm : arms) {
    std::vector<Text>& cells = table.rows.emplace_back();
    cells.push_back(arm);
    for (const std::string& than : opponents) {
      const auto found = std::ranges::find_if(
          decision.pay_back, [&](const PayBack& pair) { return pair.arm == arm && pair.than == than; });
      cells.push_back(found == decision.pay_back.end() ? Missing()
                                                       : SpreadWords(found->middle, found->best, found->worst));
    }
  }
  page.Say(fmt::format(
      "Break-even of queries, by cost alone: an arm costs less than another from so many queries in all on, "
      "over {} months with {} changes a month (its training, set-up and updates ÷ what less a query costs):",
      FormatNumber(decision.horizon_months), FormatNumber(decision.changes_per_month)));
  page.Add(std::move(table));
}

}  // namespace

void SaySensitivity(const Pack& pack, Document& page) {
  const Decision& decision = *pack.decision;
  page.Section("What would change this answer");
  page.Say("Each constraint moved alone, the rest as it is; the flip is searched on the rule itself.");
  page.Add(FlipTable(decision));
  SayMap(pack, decision.map, "The winner by all rules, simulated", page);
  SayBreakEven(decision, page);
  for (const PairMap& pair : decision.cheaper)
    SayMap(pack, pair.map, fmt::format("The cheaper of {} and {}, simulated", pair.rag, pair.lora), page);
  SayPayBack(decision, page);
}

}  // namespace qad

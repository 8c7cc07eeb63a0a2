#include "report/benchmark_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/units.h"

namespace qad {
namespace {

// With the items behind it, where they are not the `n` of its line of the table.
Text CountedCell(const Results& results, const Row* row, int64_t n) {
  Text cell = MetricCell(results, row);
  if (row && row->n != n) cell += fmt::format(", n = {}", FormatCount(static_cast<double>(row->n)));
  return cell;
}

}  // namespace

std::vector<std::string> MetricsOf(const Results& results, std::string_view slice) {
  std::vector<std::string> metrics;
  for (const Row& row : results.rows)
    if (row.slice == slice && std::find(metrics.begin(), metrics.end(), row.metric) == metrics.end())
      metrics.push_back(row.metric);
  return metrics;
}

Text MetricCell(const Results& results, const Row* row) {
  if (!row) return Missing();
  if (IsShareMetric(results, row->metric)) return ShareCell(row);
  return SpreadCell(row, FormatNumber);
}

void AddIfMeasured(Table& table, std::vector<Text> cells) {
  for (size_t i = 1; i < cells.size(); ++i)
    if (!cells[i].spans.empty() && cells[i].spans[0].style != Style::kMuted) {
      table.rows.push_back(std::move(cells));
      return;
    }
}

bool IsShareMetric(const Results& results, const std::string& metric) {
  for (const char* word :
       {"likelihood", "perplexity", "divergence", "seconds", "tokens", "bytes", "loss", "mrr", "auc", "threshold"})
    if (metric.find(word) != std::string::npos) return false;
  return std::all_of(results.rows.begin(), results.rows.end(),
                     [&](const Row& row) { return row.metric != metric || (row.value >= 0 && row.value <= 1); });
}

Table SliceTable(const Pack& pack, const std::string& slice) {
  const std::vector<std::string> metrics = MetricsOf(pack.results, slice);
  Table table{{{"arm"}}, {}, "", {}};
  for (const std::string& metric : metrics) table.columns.push_back({metric, Align::kRight});
  table.columns.push_back({"n", Align::kRight});
  for (const ArmInfo& arm : pack.results.arms) {
    const auto row = [&](const std::string& metric) { return pack.results.Find(arm.name, slice, metric); };
    int64_t n = 0;
    for (const std::string& metric : metrics)
      if (row(metric)) n = std::max(n, row(metric)->n);
    if (n == 0) continue;
    std::vector<Text> cells = {arm.name};
    for (const std::string& metric : metrics) cells.push_back(CountedCell(pack.results, row(metric), n));
    cells.push_back(FormatCount(static_cast<double>(n)));
    if (IsRecommended(pack, arm.name)) table.chosen = table.rows.size();
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table ComparisonTable(const Results& results, bool declared) {
  Table table{{{"difference"},
               {"slice"},
               {"metric"},
               {fmt::format("points ({} interval)", ConfidenceText(results)), Align::kRight},
               {"items", Align::kRight}},
              {},
              "",
              {}};
  if (declared) {
    table.columns.push_back({"p, corrected", Align::kRight});
    table.columns.push_back({"detectable", Align::kRight});
    table.columns.push_back({"verdict"});
  }
  for (const Comparison& pair : results.comparisons) {
    if (pair.declared != declared) continue;
    const auto format = KindOfScore(pair.metric) == ScoreKind::kNats ? FormatNumber : FormatPoints;
    std::vector<Text> cells = {
        pair.better + " − " + pair.than, pair.slice, pair.metric,
        fmt::format("{} ({} to {})", format(pair.difference), format(pair.low), format(pair.high)),
        FormatCount(static_cast<double>(pair.n))};
    if (pair.n == 0) cells[3] = Missing();
    if (declared) {
      cells.push_back(pair.p_adjusted < 1e-4 ? Text("< 0.0001") : Text(fmt::format("{:.4f}", pair.p_adjusted)));
      cells.push_back(format(pair.detectable));
      cells.push_back(VerdictText(pair.verdict));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table SpeedTable(const Results& results) {
  Table table{{{"arm"},
               {"prefill tok/s", Align::kRight},
               {"decode tok/s", Align::kRight},
               {"TTFT p50", Align::kRight},
               {"TTFT p95", Align::kRight},
               {"latency p50", Align::kRight},
               {"latency p95", Align::kRight},
               {"measurements", Align::kRight}},
              {},
              "",
              {}};
  for (const ArmInfo& arm : results.arms) {
    std::vector<Text> cells = {arm.name};
    int64_t measurements = 0;
    for (const char* metric : {"prefill_tokens_per_second", "decode_tokens_per_second", "ttft_p50", "ttft_p95",
                               "latency_p50", "latency_p95"}) {
      const Row* row = results.Find(arm.name, kSpeedSlice, metric);
      cells.push_back(SpreadCell(row, cells.size() < 3 ? FormatRate : FormatSeconds));
      if (row) measurements = std::max(measurements, row->n);
    }
    cells.push_back(measurements > 0 ? Text(FormatCount(static_cast<double>(measurements))) : Missing());
    AddIfMeasured(table, std::move(cells));
  }
  return table;
}

Table TextTable(const Results& results) {
  Table table{{{"arm"},
               {"weights"},
               {"perplexity", Align::kRight},
               {"× the base's", Align::kRight},
               {"KL divergence", Align::kRight},
               {"same top-1", Align::kRight}},
              {},
              "",
              {}};
  for (const std::string& arm : ArmsWithRows(results, kTextSlice)) {
    const auto row = [&](const char* metric) { return results.Find(arm, kTextSlice, metric); };
    const ArmInfo* info = results.Arm(arm);
    table.rows.push_back({arm, info ? Text(info->weights) : Missing(), SpreadCell(row("perplexity"), FormatNumber),
                          SpreadCell(row("perplexity_ratio"), FormatNumber),
                          SpreadCell(row("kl_divergence"), FormatNumber), ShareCell(row("same_top1"))});
  }
  return table;
}

Table QuantizeTable(const Results& results) {
  Table table{{{"weights"},
               {"weights' file", Align::kRight},
               {"time", Align::kRight},
               {"peak RSS", Align::kRight},
               {"error of weights", Align::kRight},
               {"KL divergence", Align::kRight},
               {"estimated", Align::kRight},
               {"held out", Align::kRight}},
              {},
              "",
              {}};
  for (const std::string& weights : ArmsWithRows(results, kQuantizeSlice)) {
    const auto row = [&](const char* metric) { return results.Find(weights, kQuantizeSlice, metric); };
    double squares = 0, count = 0;
    for (const Row& role : results.rows) {
      if (role.arm != weights || role.slice != kQuantizeSlice || !role.metric.starts_with("nmse:")) continue;
      squares += role.value * static_cast<double>(role.n);
      count += static_cast<double>(role.n);
    }
    table.rows.push_back({weights, BytesCell(row("bytes")), SecondsCell(row("seconds")),
                          BytesCell(row("peak_rss_bytes")),
                          count > 0 ? Text(FormatNumber(std::sqrt(squares / count))) : Missing(),
                          SpreadCell(results.Find(weights, kTextSlice, "kl_divergence"), FormatNumber),
                          NumberCell(row("estimated_kl_divergence")), NumberCell(row("held_out_kl_divergence"))});
  }
  table.caption =
      "Error of weights: root of the mean squared relative error. It ranks ways of rounding alone: error feedback "
      "makes it larger, and outputs better. KL divergence is on general text. Estimated "
      "and held out: what the search for types expected and measured on its calibration texts, which are of another "
      "kind.";
  return table;
}

Table UpdateTable(const Results& results) {
  Table table{{{"arm"}, {"how"}, {"time to update", Align::kRight}}, {}, "", {}};
  for (const ArmInfo& arm : results.arms)
    if (const Row* row = results.Find(arm.name, kUpdateSlice, "seconds_to_update"))
      table.rows.push_back(
          {arm.name, arm.prompting == "rag" ? "index again" : "train and evaluate again", SecondsCell(row)});
  return table;
}

Table BaselineTable(const Pack& pack) {
  const Results& results = pack.results;
  Table table{{{"baseline"}, {"slice"}, {"metric"}, {"value", Align::kRight}, {"n", Align::kRight}}, {}, "", {}};
  for (const ArmInfo& arm : results.arms)
    for (const std::string& slice : results.LeafSlices()) {
      const Row* row = results.Find(arm.name, slice, PrimaryMetric(pack.results, slice));
      if (!arm.baseline || !row) continue;
      table.rows.push_back(
          {arm.name, slice, row->metric, MetricCell(results, row), FormatCount(static_cast<double>(row->n))});
    }
  return table;
}

Table TokensTable(const Pack& pack) {
  struct Sums {
    double items = 0, prompt = 0, output = 0, truncated = 0;
  };
  std::map<std::string, Sums> sums;
  for (const Sample& sample : pack.samples) {
    Sums& arm = sums[sample.arm];
    arm.items += 1;
    arm.prompt += static_cast<double>(sample.prompt_tokens);
    arm.output += static_cast<double>(sample.output_tokens);
    arm.truncated += sample.truncated;
  }
  Table table{{{"arm"},
               {"items", Align::kRight},
               {"prompt tokens, mean", Align::kRight},
               {"output tokens, mean", Align::kRight},
               {"cut at the limit", Align::kRight}},
              {},
              "",
              {}};
  const auto count = [&](const ArmInfo& arm, const char* metric) {
    return pack.results.Value(arm.name, kTokensSlice, metric).value_or(0);
  };
  std::vector<const char*> counted;  // of some arm
  for (const auto& [metric, title] :
       {std::pair("skipped_items", "skipped items"), std::pair("missing_usage", "answers without usage"),
        std::pair("doubtful_usage", "with doubtful usage")}) {
    if (std::ranges::none_of(pack.results.arms, [&](const ArmInfo& arm) { return count(arm, metric) > 0; })) continue;
    counted.push_back(metric);
    table.columns.push_back({title, Align::kRight});
  }
  if (!counted.empty() && counted.back() != std::string_view("skipped_items"))
    table.caption = "Where an endpoint gives no usage, or one that cannot be true, the base's tokenizer counts.";
  for (const ArmInfo& arm : pack.results.arms) {
    const auto found = sums.find(arm.name);
    if (found == sums.end()) continue;
    const Sums& sum = found->second;
    std::vector<Text>& row = table.rows.emplace_back(
        std::vector<Text>{arm.name, FormatCount(sum.items), FormatNumber(sum.prompt / sum.items),
                          FormatNumber(sum.output / sum.items), FormatShare(sum.truncated / sum.items)});
    for (const char* metric : counted) row.emplace_back(FormatCount(count(arm, metric)));
  }
  return table;
}

Table CostTable(const Pack& pack) {
  Table table{{{"arm"},
               {"per 1,000 at 10%", Align::kRight},
               {"at 50%", Align::kRight},
               {"at 100%", Align::kRight},
               {"training", Align::kRight},
               {"an update", Align::kRight},
               {"updates", Align::kRight},
               {"queries", Align::kRight}},
              {},
              "",
              {}};
  if (!pack.decision) return table;
  const Decision& decision = *pack.decision;
  const auto any = [&](double Costs::*part) {
    return std::ranges::any_of(decision.arms,
                               [&](const ArmDecision& arm) { return arm.costs && (*arm.costs).*part > 0; });
  };
  const bool people = any(&Costs::set_up), errors = any(&Costs::errors);
  if (people) table.columns.push_back({"people, once", Align::kRight});
  if (errors) table.columns.push_back({"answers not right", Align::kRight});
  table.columns.push_back({"total", Align::kRight});
  for (const ArmDecision& arm : decision.arms) {
    if (!arm.candidate || !arm.costs) continue;
    const Costs& costs = *arm.costs;
    // Tokens of an endpoint cost the same however busy it is.
    const bool by_tokens = pack.results.Value(arm.arm, kSpeedSlice, "query_price").has_value();
    const auto at = [&](double utilization) {
      return FormatMoney(by_tokens ? costs.per_thousand : costs.per_thousand * decision.utilization / utilization);
    };
    if (IsRecommended(pack, arm.arm)) table.chosen = table.rows.size();
    std::vector<Text>& row = table.rows.emplace_back(
        std::vector<Text>{arm.arm, at(0.1), at(0.5), at(1), FormatMoney(costs.training), FormatMoney(costs.per_update),
                          FormatMoney(costs.updates), FormatMoney(costs.queries)});
    if (people) row.emplace_back(FormatMoney(costs.set_up));
    if (errors) row.emplace_back(FormatMoney(costs.errors));
    row.emplace_back(FormatMoney(costs.total));
  }
  table.caption =
      fmt::format("{} per hour; {} queries and {} changes per month for {} months, queries at {} utilization.",
                  FormatMoney(decision.price_per_hour), FormatNumber(decision.queries_per_month),
                  FormatNumber(decision.changes_per_month), FormatNumber(decision.horizon_months),
                  FormatShare(decision.utilization));
  return table;
}

}  // namespace qad

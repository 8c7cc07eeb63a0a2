#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "report/benchmark_tables.h"
#include "report/charts.h"

namespace qad {
namespace {

std::vector<std::string> JudgedSlices(const Pack& pack) {
  std::vector<std::string> slices;
  if (pack.decision)
    for (const RequiredSlice& required : pack.decision->required) slices.push_back(required.slice);
  return slices.empty() ? pack.results.LeafSlices() : slices;
}

std::string PriceOf(const Pack& pack, const std::string& arm) {
  const ArmDecision* judged = pack.decision ? pack.decision->Arm(arm) : nullptr;
  return judged && judged->costs ? FormatMoney(judged->costs->per_thousand) : "–";
}

// Two figures that are read together: "1,450 / 101".
Text PairCell(const Row* first, std::string (*first_format)(double), const Row* second,
              std::string (*second_format)(double)) {
  if (!first && !second) return Missing();
  return fmt::format("{} / {}", first ? first_format(first->value) : "–", second ? second_format(second->value) : "–");
}

// The table that fits a screen.
Table OverviewTable(const Pack& pack) {
  Table table{{{"arm"}, {"on disk", Align::kRight}, {"peak RSS", Align::kRight}}, {}, "", {}};
  const std::vector<std::string> slices = JudgedSlices(pack);
  for (const std::string& slice : slices)
    table.columns.push_back({slice + " " + PrimaryMetric(pack.results, slice), Align::kRight});
  for (const char* title : {"KL / same top-1", "prefill / decode tok/s", "TTFT p50 / p95", "per 1,000"})
    table.columns.push_back({title, Align::kRight});
  const Results& results = pack.results;
  for (const ArmInfo& arm : results.arms) {
    if (arm.baseline) continue;
    const auto row = [&](auto slice, auto metric) { return results.Find(arm.name, slice, metric); };
    std::vector<Text> cells = {arm.name, BytesCell(row(kMemorySlice, "disk_bytes")),
                               BytesCell(row(kMemorySlice, "peak_rss_bytes"))};
    for (const std::string& slice : slices) cells.push_back(ShareCell(row(slice, PrimaryMetric(pack.results, slice))));
    std::string (*const share)(double) = FormatShare;
    cells.push_back(PairCell(row(kTextSlice, "kl_divergence"), FormatNumber, row(kTextSlice, "same_top1"), share));
    cells.push_back(PairCell(row(kSpeedSlice, "prefill_tokens_per_second"), FormatRate,
                             row(kSpeedSlice, "decode_tokens_per_second"), FormatRate));
    cells.push_back(PairCell(row(kSpeedSlice, "ttft_p50"), FormatSeconds, row(kSpeedSlice, "ttft_p95"), FormatSeconds));
    cells.push_back(PriceOf(pack, arm.name));
    if (IsRecommended(pack, arm.name)) table.chosen = table.rows.size();
    table.rows.push_back(std::move(cells));
  }
  return table;
}

// The least lower bound over the judged slices: never an average.
std::vector<ChartPoint> ParetoPoints(const Pack& pack, std::string_view x_slice, const char* x_metric) {
  std::vector<ChartPoint> points;
  for (const ArmInfo& arm : pack.results.arms) {
    const Row* x = pack.results.Find(arm.name, x_slice, x_metric);
    if (arm.baseline || !x) continue;
    ChartPoint point{arm.name, ColourOf(pack.results, arm.name), x->value, 2, 0, 0, x->low,
                     x->high,  IsRecommended(pack, arm.name)};
    for (const std::string& slice : JudgedSlices(pack)) {
      const Row* row = pack.results.Find(arm.name, slice, PrimaryMetric(pack.results, slice));
      const double low = row ? row->low.value_or(row->value) : 0;
      if (low >= point.low) continue;
      point.low = low;
      point.value = row ? row->value : 0;
    }
    if (point.low <= 1) points.push_back(point);
  }
  return points;
}

void AddPareto(const Pack& pack, Document& page) {
  std::optional<double> floor;
  for (const std::string& slice : JudgedSlices(pack))
    if (const auto wanted = FloorOf(pack, slice)) floor = std::max(floor.value_or(0), *wanted);
  const bool floors = pack.decision && !pack.decision->required.empty();
  const std::string worst = floors ? "worst required slice" : "worst slice";
  const std::string caption = fmt::format(
      "The dot is the lower {} bound on the arm's {}, the whisker leads up to the value measured there. No "
      "arm to the left of or above the dotted stairs was measured.",
      ConfidenceText(pack.results), worst);
  for (const auto& [slice, metric, title, format] :
       {std::tuple(kMemorySlice, "peak_rss_bytes", "peak resident memory", TickFormat{FormatBytes, true}),
        std::tuple(kSpeedSlice, "query_seconds_p95", "latency per query, p95", TickFormat{FormatSeconds})})
    page.Add(Picture{ParetoChart(std::string("Quality against ") + title, title, worst + ", lower bound",
                                 ParetoPoints(pack, slice, metric), format, floor),
                     caption});
}

Picture IntervalsOf(const Pack& pack, const std::string& slice, const std::string& metric) {
  std::vector<ChartPoint> points;
  for (const ArmInfo& arm : pack.results.arms) {
    const Row* row = pack.results.Find(arm.name, slice, metric);
    if (!row || row->value < 0 || row->value > 1) continue;
    points.push_back({arm.name,
                      ColourOf(pack.results, arm.name),
                      0,
                      row->low.value_or(row->value),
                      row->value,
                      row->high.value_or(row->value),
                      {},
                      {},
                      IsRecommended(pack, arm.name)});
  }
  return {IntervalChart(slice + ", " + metric, points, FloorOf(pack, slice)),
          fmt::format("{} on {} with its {} interval.", metric, slice, ConfidenceText(pack.results))};
}

void SaySlices(const Pack& pack, Document& page) {
  page.Section("Quality by slice");
  const std::vector<std::string> slices = pack.results.LeafSlices();
  if (slices.empty()) page.Say("No items were scored in this run.");
  for (const std::string& slice : slices) {
    page.Subsection(slice);
    page.Add(SliceTable(pack, slice));
    page.Add(IntervalsOf(pack, slice, PrimaryMetric(pack.results, slice)));
  }
}

void SayComparisons(const Pack& pack, Document& page) {
  page.Section("Paired comparisons");
  Table declared = ComparisonTable(pack.results, true), exploratory = ComparisonTable(pack.results, false);
  if (declared.rows.empty()) {
    page.Say("No comparison was declared before this run, so none carries a verdict.");
  } else {
    page.Say(
        "Declared before the run, paired by item, corrected together (Holm). “Detectable” is the least difference that "
        "so many items show with 80% power.");
    page.Add(std::move(declared));
  }
  if (exploratory.rows.empty()) return;
  page.Say("Exploratory: intervals, no verdicts.");
  page.Add(std::move(exploratory));
}

// Files of every size, as the search for types estimates them, beside those that were measured.
void AddFront(const Pack& pack, Document& page) {
  if (pack.results.fronts.empty()) return;
  std::vector<ChartLine> lines;
  const Front& front = pack.results.fronts.front();  // searches of one model have one front
  ChartLine line{front.weights + ", estimated", lines.size(), {}, true, false};
  for (size_t i = 0; i < front.bytes.size(); ++i)
    if (front.kl[i] > 0) line.points.emplace_back(front.bytes[i], std::log10(front.kl[i]));
  if (!line.points.empty()) lines.push_back(std::move(line));
  for (const ArmInfo& arm : pack.results.arms) {
    const auto bytes = pack.results.Value(arm.name, kMemorySlice, "disk_bytes"),
               kl = pack.results.Value(arm.name, kTextSlice, "kl_divergence");
    if (arm.baseline || !arm.adapter.empty() || !bytes || !kl || !(*kl > 0)) continue;
    lines.push_back({arm.name, lines.size(), {{*bytes, std::log10(*kl)}}, false, true});
  }
  page.Add(
      Picture{LineChart("Size against KL divergence", "size of the weights", "KL divergence, nats per token", lines,
                        {FormatBytes, true}, {[](double exponent) { return FormatNumber(std::pow(10, exponent)); }}),
              "The dashed line is what the search for types expects of the best file of each size, on its own texts; "
              "dots are arms as measured on general text. Lower left is better."});
}

void SayQuantizing(const Pack& pack, Document& page) {
  Table table = QuantizeTable(pack.results);
  if (table.rows.empty()) return;
  page.Section("Making quantized weights");
  page.Add(std::move(table));
  AddFront(pack, page);
}

// A section with a table, or the plain word that there is nothing.
void SaySection(Document& page, const char* title, const char* introduction, Table table, const char* missing) {
  page.Section(title);
  if (table.rows.empty()) {
    page.Say(missing);
    return;
  }
  if (*introduction) page.Say(introduction);
  page.Add(std::move(table));
}

}  // namespace

Document BenchmarkPage(const Pack& pack) {
  Document page{"Benchmark results: " + ModelName(pack), "benchmark", {}};
  SayPartial(pack, page);
  page.Add(OverviewTable(pack));
  page.Say(fmt::format("Quality with its {} interval; KL divergence from the base in nats per token; TTFT is the time "
                       "to the first token; per 1,000 queries in the currency of hardware.price_per_hour; – is not "
                       "measured.",
                       ConfidenceText(pack.results)),
           Tone::kNote);
  SaySourceFormat(pack, page);
  AddPareto(pack, page);
  SaySlices(pack, page);
  SayComparisons(pack, page);
  SaySection(
      page, "Speed",
      "Median over the rounds (least–largest); one query at a time, every answer of 32 tokens whatever it says. What a "
      "query costs is reckoned for the length that an arm's answers really have.",
      SpeedTable(pack.results), "Speed was not measured in this run.");
  SaySection(page, "General text", "Every form of the model on the same held-out text, against the base.",
             TextTable(pack.results), "No arm was scored on held-out text in this run.");
  SayRetrieval(pack, page);
  SayQuantizing(pack, page);
  SayTraining(pack.results, page);
  SayForgetting(pack.results, page);
  SayDeployment(pack, page);
  SaySection(page, "Bringing changed facts into the answer", "", UpdateTable(pack.results),
             "The time to update an arm was not measured in this run.");
  SaySection(page, "Baselines without a language model", "", BaselineTable(pack),
             "No baseline without a language model was scored in this run.");
  SaySection(page, "Tokens", "", TokensTable(pack), "No samples were kept in this run.");
  SaySection(page, "Costs", "Over the horizon, in the currency of hardware.price_per_hour.", CostTable(pack),
             "Costs are computed with the decision; none was made on these results.");
  SayPublished(pack.results, page);
  SayLeaks(pack.results, page);
  page.Section("How it was measured");
  page.Add(ManifestTable(pack.results.manifest));
  return page;
}

}  // namespace qad

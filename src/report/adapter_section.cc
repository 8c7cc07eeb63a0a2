// What adapters took to train, what the training made the model forget, and what is left of it on the way into
// production.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/benchmark_tables.h"
#include "report/charts.h"

namespace qad {
namespace {

Text KeptCell(const Row* best, const Row* all) {
  if (best == nullptr || all == nullptr) return Missing();
  return Text(fmt::format("step {} of {}", FormatCount(best->value), FormatCount(all->value)));
}

Table TrainingTable(const Results& results) {
  Table table{{{"arm"},
               {"time", Align::kRight},
               {"tok/s", Align::kRight},
               {"trainable parameters", Align::kRight},
               {"peak RSS", Align::kRight},
               {"kept", Align::kRight},
               {"validation loss", Align::kRight},
               {"validation score", Align::kRight},
               {"last training loss", Align::kRight}},
              {},
              "",
              {}};
  for (const std::string& arm : ArmsWithRows(results, kTrainingSlice)) {  // rows stand under the adapter's name
    const auto row = [&](const char* metric) { return results.Find(arm, kTrainingSlice, metric); };
    const Row* trainable = row("trainable_parameters");
    table.rows.push_back({arm, SecondsCell(row("seconds")), RateCell(row("tokens_per_second")),
                          trainable ? Text(FormatCount(trainable->value)) : Missing(), BytesCell(row("peak_rss_bytes")),
                          KeptCell(row("best_step"), row("steps")), NumberCell(row("validation_loss")),
                          ShareCell(row("validation_score")), NumberCell(row("final_loss"))});
  }
  return table;
}

using Series = std::vector<double>;

// Points of one curve, as far as both lists go.
std::vector<std::pair<double, double>> Points(const Series& x, const Series& y) {
  std::vector<std::pair<double, double>> points;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) points.emplace_back(x[i], y[i]);
  return points;
}

Picture LossChart(const std::vector<Curve>& curves) {
  std::vector<ChartLine> lines;
  for (const Curve& curve : curves) {
    const size_t colour = lines.size();
    lines.push_back({curve.arm + " train", colour, Points(curve.steps, curve.losses), false, false});
    lines.push_back(
        {curve.arm + " validation", colour + 1, Points(curve.validation_steps, curve.validation_losses), true, true});
  }
  return {LineChart("Learning curves", "optimizer step", "loss, nats per token", lines, {FormatCount}, {FormatNumber}),
          "Mean loss over supervised tokens. The adapter kept is that of the validation whose answers score best (the "
          "table's “kept”), which need not be the one of the lowest loss."};
}

// A picture with a line for each training; nothing where none has such points.
void AddCurves(const std::vector<Curve>& curves, Series Curve::*x, Series Curve::*y, const char* title,
               const char* y_title, const TickFormat& format, const char* caption, Document& page) {
  std::vector<ChartLine> lines;
  for (const Curve& curve : curves) {
    ChartLine line{curve.arm, lines.size(), Points(curve.*x, curve.*y), false, y == &Curve::validation_scores};
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  if (!lines.empty())
    page.Add(Picture{LineChart(title, "optimizer step", y_title, lines, {FormatCount}, format), caption});
}

std::vector<std::string> TasksOf(const Results& results) {
  std::vector<std::string> tasks;
  for (const std::string& metric : MetricsOf(results, kZeroShotSlice))
    if (metric.starts_with("choice:")) tasks.push_back(metric);
  return tasks;
}

// The base, then every adapter as it was trained.
Table ForgettingTable(const Results& results) {
  Table table{{{"model"}}, {}, "", {}};
  const std::vector<std::string> tasks = TasksOf(results);
  table.columns.push_back({"perplexity × the base's", Align::kRight});
  table.columns.push_back({"zero-shot choices", Align::kRight});
  table.columns.push_back({"points, paired", Align::kRight});
  for (const std::string& task : tasks) table.columns.push_back({task.substr(task.find(':') + 1), Align::kRight});
  for (const ArmInfo& arm : results.arms) {
    const auto text = [&](const char* metric) { return results.Find(arm.name, kTextSlice, metric); };
    const auto zero_shot = [&](const std::string& metric) { return results.Find(arm.name, kZeroShotSlice, metric); };
    const bool base = zero_shot("choice") != nullptr && arm.adapter.empty();
    if (!base && !arm.IsAsTrained()) continue;
    std::vector<Text> cells = {arm.name, SpreadCell(text("perplexity_ratio"), FormatNumber),
                               ShareCell(zero_shot("choice")),
                               SpreadCell(zero_shot("choice_difference"), FormatPoints)};
    for (const std::string& task : tasks) cells.push_back(ShareCell(zero_shot(task)));
    AddIfMeasured(table, std::move(cells));
  }
  return table;
}

// Resident, of weights and adapter.
Text BytesOfArm(const Results& results, const std::string& arm) {
  const auto weights = results.Value(arm, kMemorySlice, "weights_bytes");
  if (!weights) return Missing();
  return FormatBytes(*weights + results.Value(arm, kMemorySlice, "adapter_bytes").value_or(0));
}

std::string DifferenceText(const SliceDifference& d) {
  return fmt::format("{} ({}, {} to {})", FormatShare(d.value), FormatPoints(d.difference), FormatPoints(d.low),
                     FormatPoints(d.high));
}

Text KlCell(const DeploymentAnswer& answer) {
  if (!answer.kl) return Missing();
  if (!answer.kl_low || !answer.kl_high) return Text(FormatNumber(*answer.kl));
  return Text(fmt::format("{} ({} to {})", FormatNumber(*answer.kl), FormatNumber(*answer.kl_low),
                          FormatNumber(*answer.kl_high)));
}

// The adapter as it was trained: what its forms are held against.
std::vector<Text> TrainedRow(const Results& results, const std::string& adapter,
                             const std::vector<std::string>& slices) {
  for (const ArmInfo& arm : results.arms) {
    if (arm.adapter != adapter || !arm.IsAsTrained() || !arm.replica_of.empty()) continue;
    std::vector<Text> cells = {
        arm.name, std::string(kAsTrained), BytesOfArm(results, arm.name), Text("0"), Text("100%"), Text("0")};
    for (const std::string& slice : slices)
      cells.push_back(ShareCell(results.Find(arm.name, slice, PrimaryMetric(results, slice))));
    cells.emplace_back("–");
    return cells;
  }
  return {};
}

Table DeploymentTable(const Results& results, const std::vector<DeploymentAnswer>& answers) {
  std::vector<std::string> slices;
  for (const DeploymentAnswer& answer : answers)
    for (const SliceDifference& slice : answer.slices)
      if (std::ranges::find(slices, slice.slice) == slices.end()) slices.push_back(slice.slice);
  Table table{{{"form"},
               {"adapter"},
               {"resident", Align::kRight},
               {"KL, answers", Align::kRight},
               {"same top-1", Align::kRight},
               {"nats lost", Align::kRight}},
              {},
              "",
              {}};
  for (const std::string& slice : slices) table.columns.push_back({slice, Align::kRight});
  table.columns.push_back({"verdict"});
  std::string adapter;
  for (const DeploymentAnswer& answer : answers) {
    if (answer.adapter != adapter) {
      adapter = answer.adapter;
      if (std::vector<Text> trained = TrainedRow(results, adapter, slices); !trained.empty())
        table.rows.push_back(std::move(trained));
    }
    std::vector<Text> cells = {answer.arm,
                               answer.deployed,
                               answer.resident_bytes ? Text(FormatBytes(*answer.resident_bytes)) : Missing(),
                               KlCell(answer),
                               answer.same_top1 ? Text(FormatShare(*answer.same_top1)) : Missing(),
                               answer.likelihood_lost ? Text(FormatNumber(*answer.likelihood_lost)) : Missing()};
    for (const std::string& slice : slices) {
      const auto found = std::ranges::find(answer.slices, slice, &SliceDifference::slice);
      cells.push_back(found == answer.slices.end() ? Missing() : Text(DifferenceText(*found)));
    }
    cells.push_back(VerdictText(answer.verdict));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace

void SayTraining(const Results& results, Document& page) {
  Table table = TrainingTable(results);
  if (table.rows.empty() && results.curves.empty()) return;
  page.Section("Training");
  if (!table.rows.empty()) page.Add(std::move(table));
  if (results.curves.empty()) return;
  page.Add(LossChart(results.curves));
  AddCurves(results.curves, &Curve::validation_steps, &Curve::validation_scores, "Answers to the validation items",
            "share right", {static_cast<std::string (*)(double)>(FormatShare)},
            "The mean over slices of the share of right answers, at each validation: what the adapter kept is chosen "
            "by.",
            page);
  AddCurves(results.curves, &Curve::steps, &Curve::tokens_per_second, "Speed of training", "tokens per second",
            {FormatRate},
            "Of each step, with its optimizer. Steps differ in how much their sequences share and in how full their "
            "passes are.",
            page);
  AddCurves(results.curves, &Curve::steps, &Curve::rss_bytes, "Memory of training", "resident memory",
            {FormatBytes, true}, "Of the process, after each step.", page);
}

void SayForgetting(const Results& results, Document& page) {
  Table table = ForgettingTable(results);
  if (table.rows.empty()) return;
  page.Section("What training made it forget");
  page.Say(
      fmt::format("General text, and choices that have nothing to do with the training set, before and after; before "
                  "is the base in "
                  "bf16, also of adapters on quantized weights. Above 1 the text surprises the trained model more; the "
                  "difference in points is paired by item, with its {} interval.",
                  ConfidenceText(results)));
  page.Add(std::move(table));
  if (TasksOf(results).empty())
    page.Say("No zero-shot tasks were asked: data.zero_shot names a file of items with choices.", Tone::kNote);
}

void SayDeployment(const Pack& pack, Document& page) {
  if (!pack.decision || pack.decision->deployment.empty()) return;
  page.Section("Deployment parity");
  page.Say(
      "Every form in which an adapter was served, against the adapter as it was trained: KL divergence, same top-1 and "
      "what the right answers lose in likelihood, token by token on the evaluation items; and the shares answered "
      "right, with the paired difference in points. These differences are exploratory.");
  page.Add(DeploymentTable(pack.results, pack.decision->deployment));
  page.Say(fmt::format("Kept: a KL divergence of at most {} nats with its whole interval, and no slice that is surely "
                       "worse. Differs: "
                       "above that, but no slice that is surely worse. Lost: a slice is worse with the whole interval.",
                       FormatNumber(kEquivalentKl)),
           Tone::kNote);
  for (const DeploymentAnswer& answer : pack.decision->deployment)
    if (const std::string warning = DeploymentWarning(answer); !warning.empty())
      page.Say(warning, answer.verdict == "lost" ? Tone::kWarning : Tone::kBody);
}

std::string DeploymentWarning(const DeploymentAnswer& answer) {
  if (answer.verdict != "lost" && answer.verdict != "differs") return "";
  std::string text = fmt::format("{} has lost behaviour: {}.", answer.arm, answer.basis);
  if (answer.verdict == "differs")
    text = fmt::format("{} predicts otherwise than {} as it was trained (KL divergence {}){}.", answer.arm,
                       answer.adapter, FormatNumber(answer.kl.value_or(0)),
                       answer.slices.empty() ? "; it was not asked for answers" : ", with no slice surely worse");
  if (!answer.remedy.empty())
    return text + fmt::format(" The best as small that was measured: {} ({}).", answer.remedy, answer.remedy_basis);
  return text + fmt::format(
                    " Nothing as small that does better was measured: train on quantized weights instead "
                    "(adapters: {{{}-quantized: {{base: …}}}}), or serve {} on what it was trained on.",
                    answer.adapter, answer.adapter);
}

}  // namespace qad

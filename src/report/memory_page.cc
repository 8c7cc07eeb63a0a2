#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/units.h"
#include "report/charts.h"
#include "report/pages.h"

namespace qad {
namespace {

double ToDouble(uint64_t bytes) { return static_cast<double>(bytes); }
std::string Bytes(uint64_t bytes) { return FormatBytes(ToDouble(bytes)); }
std::string Count(int64_t count) { return FormatCount(static_cast<double>(count)); }

std::string FitSentence(const FitAnswer& fit) {
  if (fit.max_context == 0)
    return fmt::format("Does not fit in {} at batch {} ({} weights, {} cache)", Bytes(fit.budget), fit.batch,
                       fit.weights, fit.kv_type);
  return fmt::format("Fits in {} up to context {} at batch {} ({} weights, {} cache{})", Bytes(fit.budget),
                     Count(fit.max_context), fit.batch, fit.weights, fit.kv_type,
                     fit.limited_by_model ? "; the model ends there, not the memory" : "");
}

Text Sequences(int64_t most) {
  if (most == 0) return Missing();
  return Text((most == kMostSequences ? "≥ " : "") + Count(most));
}

void SayFits(const MemoryMath& math, Document& page) {
  if (!math.fits.empty()) page.Say(Strong(FitSentence(math.fits.front()) + "."), Tone::kLead);
  page.Say(
      fmt::format("{} parameters. Hardware assumed: {}.", Count(static_cast<int64_t>(math.parameters)), math.hardware));
  if (!math.engine.empty()) {
    std::string parts;
    for (const MemoryPart& part : math.engine)
      parts += fmt::format("{}{} {} ({})", parts.empty() ? "" : ", ", part.name, Bytes(part.bytes), part.formula);
    page.Say(fmt::format("What this program takes beside the model, and counts here: {}.", parts));
  }
  if (math.fits.size() < 2) return;
  Table table{{{"weights"},
               {"KV cache"},
               {"memory", Align::kRight},
               {"batch", Align::kRight},
               {"fits"},
               {"context up to", Align::kRight},
               {"limited by"},
               {fmt::format("sequences of {}", Count(math.case_context)), Align::kRight}},
              {},
              "",
              {}};
  for (const FitAnswer& fit : math.fits)
    table.rows.push_back({fit.weights, fit.kv_type, Bytes(fit.budget), Count(fit.batch),
                          VerdictText(fit.max_context > 0 ? "fits" : "does not fit"),
                          fit.max_context > 0 ? Text(Count(fit.max_context)) : Missing(),
                          fit.max_context == 0 ? Missing() : Text(fit.limited_by_model ? "the model" : "memory"),
                          Sequences(fit.max_batch)});
  page.Add(std::move(table));
}

void SayWeights(const MemoryMath& math, Document& page) {
  if (math.weights.empty()) return;
  page.Section("Weights");
  const double first = ToDouble(math.weights.front().bytes);
  Table table{{{"format"},
               {"parameters × bytes"},
               {"size", Align::kRight},
               {"bytes", Align::kRight},
               {"of " + math.weights.front().format, Align::kRight}},
              {},
              "",
              {}};
  for (const WeightsMath& weights : math.weights)
    table.rows.push_back({weights.format + (weights.stored ? " (stored)" : ""), weights.formula, Bytes(weights.bytes),
                          FormatCount(ToDouble(weights.bytes)), FormatShare(ToDouble(weights.bytes) / first)});
  page.Add(std::move(table));
}

// One row per component in the order of the first format; a format that lacks one shows a dash.
void SayComponents(const MemoryMath& math, Document& page) {
  if (math.weights.empty() || math.weights.front().parts.empty()) return;
  page.Subsection("By component");
  Table table{{{"component"}, {"parameters"}}, {}, "", {}};
  std::vector<std::string> names;
  for (const WeightsMath& weights : math.weights) {
    table.columns.push_back({weights.format, Align::kRight});
    for (const MemoryPart& part : weights.parts)
      if (std::find(names.begin(), names.end(), part.name) == names.end()) names.push_back(part.name);
  }
  for (const std::string& name : names) {
    std::vector<Text> row = {name, ""};
    std::string formula;
    for (const WeightsMath& weights : math.weights) {
      const auto part =
          std::find_if(weights.parts.begin(), weights.parts.end(), [&](const auto& p) { return p.name == name; });
      const bool has = part != weights.parts.end();
      if (has && formula.empty()) formula = part->formula;
      row.push_back(has ? Text(Bytes(part->bytes)) : Missing());
    }
    row[1] = formula;
    table.rows.push_back(std::move(row));
  }
  page.Add(std::move(table));
}

// Context down, type × batch across.
Table CacheTable(const KvMath& kv) {
  std::vector<std::pair<std::string, int64_t>> columns;
  std::vector<int64_t> contexts;
  std::map<std::tuple<int64_t, std::string, int64_t>, uint64_t> sizes;
  for (const KvPoint& point : kv.points) {
    const std::pair column(point.type, point.batch);
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
    if (std::find(contexts.begin(), contexts.end(), point.context) == contexts.end()) contexts.push_back(point.context);
    sizes[{point.context, point.type, point.batch}] = point.bytes;
  }
  std::sort(contexts.begin(), contexts.end());
  Table table{{{"context", Align::kRight}}, {}, "", {}};
  for (const auto& [type, batch] : columns)
    table.columns.push_back({fmt::format("{}, batch {}", type, batch), Align::kRight});
  for (const int64_t context : contexts) {
    std::vector<Text> row = {Count(context)};
    for (const auto& [type, batch] : columns) {
      const auto size = sizes.find({context, type, batch});
      row.push_back(size == sizes.end() ? Missing() : Text(Bytes(size->second)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Picture MemoryCurves(const MemoryMath& math) {
  std::vector<ChartLine> lines;
  const double length = static_cast<double>(std::max<int64_t>(math.max_positions, 1));
  const auto add = [&](const std::string& name, double weights, bool dashed) {
    ChartLine line{name, lines.size(), {}, dashed, false};
    for (int i = 0; i <= 8; ++i) {
      const double context = length * i / 8;
      line.points.emplace_back(context, weights + ToDouble(math.kv.bytes_at(static_cast<int64_t>(context))));
    }
    lines.push_back(line);
  };
  for (const WeightsMath& weights : math.weights) add(weights.format, ToDouble(weights.bytes), false);
  add("KV cache alone", 0, true);
  return {
      LineChart("Weights and KV cache against context", "context, tokens (batch 1)", "weights + KV cache", lines,
                {FormatCount}, {FormatBytes, true}),
      fmt::format(
          "Weights plus KV cache ({}, batch 1). All lines rise alike: a format moves a line down and does not bend it.",
          math.kv.type)};
}

void SayAllotments(const KvMath& kv, Document& page) {
  if (kv.allotments.empty()) return;
  page.Subsection("Contiguous or paged");
  page.Say(fmt::format(
      "{} sequences that may grow to {} tokens and have come to {}, the first {} the same in all of them. This program "
      "reserves the longest of a batch for each sequence, and computes once what prompts begin with alike.",
      kv.allotted_batch, Count(kv.allotted_context), Count(kv.allotted_tokens), Count(kv.allotted_prefix)));
  const double used = ToDouble(kv.allotments.front().bytes);
  Table table{{{"cache"}, {"holds"}, {"size", Align::kRight}, {"of the tokens alone", Align::kRight}}, {}, "", {}};
  for (const KvAllotment& way : kv.allotments)
    table.rows.push_back({way.way, way.formula, Bytes(way.bytes), FormatShare(ToDouble(way.bytes) / used)});
  page.Add(std::move(table));
}

void SayCache(const MemoryMath& math, Document& page) {
  const KvMath& kv = math.kv;
  if (kv.bytes_per_token == 0) return;
  page.Section("KV cache");
  page.Say(Text("One token of one sequence: ") + CodeText(kv.formula) +
           fmt::format(" = {} bytes ({}).", FormatCount(ToDouble(kv.bytes_per_token)), kv.type));
  if (kv.kv_heads < kv.heads)
    page.Say(fmt::format(
        "{} query heads share {} KV heads: without that (GQA) a token would take {} bytes, {} times as much.", kv.heads,
        kv.kv_heads, FormatCount(ToDouble(kv.bytes_per_token_without_gqa)),
        FormatNumber(ToDouble(kv.bytes_per_token_without_gqa) / ToDouble(kv.bytes_per_token))));
  else
    page.Say(fmt::format(
        "Every one of the {} query heads has its own key and value: nothing is saved by sharing (no GQA).", kv.heads));
  if (kv.windowed_layers > 0)
    page.Say(fmt::format("{} of {} layers keep {} tokens at most.", kv.windowed_layers, kv.layers, Count(kv.window)));
  const auto cache = [&](int64_t context) { return Bytes(kv.bytes_at(context)); };
  page.Say(fmt::format(
      "The cache takes {} at context {} and {} at {}, whatever the format of the weights: quantized weights do "
      "not bend this curve.",
      cache(math.max_positions / 4), Count(math.max_positions / 4), cache(math.max_positions),
      Count(math.max_positions)));
  page.Say(math.cache_outgrows_weights > 0
               ? fmt::format("From {} tokens of one sequence on it takes more than the weights in memory.",
                             Count(math.cache_outgrows_weights))
               : "Within the positions of one sequence it never takes as much as the weights in memory.");
  if (!kv.points.empty()) page.Add(CacheTable(kv));
  page.Add(MemoryCurves(math));
  SayAllotments(kv, page);
}

Text Price(double price) { return price > 0 ? Text(FormatMoney(price)) : Missing(); }
Text Ceiling(double rate) { return rate > 0 ? Text(FormatRate(rate)) : Missing(); }

void SayMachines(const MemoryMath& math, Document& page) {
  if (math.machines.empty()) return;
  page.Section("Machines");
  page.Say(fmt::format(
      "At context {} and batch {}: as the weights are, or the nearest that fits; how long that context could be, "
      "and how many sequences of it fit. Tokens per second are upper bounds, from the device's bandwidth and its "
      "operations; prices, of a million tokens at that speed, lower bounds, where "
      "the configuration has an hour's price.",
      Count(math.case_context), Count(math.case_batch)));
  Table table{{{"machine"},
               {"memory", Align::kRight},
               {"fits"},
               {"weights"},
               {"KV cache"},
               {"context up to", Align::kRight},
               {"sequences", Align::kRight},
               {"decode ≤, tok/s", Align::kRight},
               {"prefill ≤, tok/s", Align::kRight},
               {"decode ≥, a million", Align::kRight},
               {"prefill ≥, a million", Align::kRight}},
              {},
              "",
              {}};
  for (const MachineFit& fit : math.machines) {
    const bool any = fit.max_context > 0;
    table.rows.push_back({fit.machine, Bytes(fit.memory), VerdictText(fit.verdict), any ? Text(fit.weights) : Missing(),
                          any ? Text(fit.kv_type) : Missing(), any ? Text(Count(fit.max_context)) : Missing(),
                          Sequences(fit.max_batch), Ceiling(fit.decode_ceiling), Ceiling(fit.prefill_ceiling),
                          Price(fit.decode_price), Price(fit.prefill_price)});
  }
  page.Add(std::move(table));
}

// Sequence, batch and rank down, method across; what does not fit says so.
void SayTrainingPoints(const MemoryMath& math, Document& page) {
  if (math.training_points.empty()) return;
  page.Subsection("By sequence, batch and rank");
  Table table{{{"sequence", Align::kRight}, {"at once", Align::kRight}, {"rank", Align::kRight}}, {}, "", {}};
  std::vector<std::string> columns;
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::map<std::string, uint64_t>> rows;
  const TrainingPoint* least = nullptr;
  for (const TrainingPoint& point : math.training_points) {
    const std::string name = SettingName(point.method, point.recompute);
    if (std::ranges::find(columns, name) == columns.end()) {
      columns.push_back(name);
      table.columns.push_back({name, Align::kRight});
    }
    rows[{point.sequence, point.batch, point.rank}][name] = point.bytes;
    if (least == nullptr || point.bytes < least->bytes) least = &point;
  }
  for (const auto& [setting, sizes] : rows) {
    const auto [sequence, batch, rank] = setting;
    std::vector<Text> row = {Count(sequence), Count(batch), Count(rank)};
    for (const std::string& name : columns) {
      const uint64_t bytes = sizes.at(name);
      row.emplace_back(Bytes(bytes) + (math.has_room(bytes) ? "" : " ✗"));
    }
    table.rows.push_back(std::move(row));
  }
  page.Say(fmt::format(
      "All tokens of a pass count, however they are cut into sequences: attention keeps no scores. ✗: more than {}. A "
      "batch that is larger than a pass takes several, one after another, and no more memory. The smallest of these is "
      "{}, rank {}, {} tokens: {}, which {}.",
      Bytes(math.budget), SettingName(least->method, least->recompute), least->rank,
      Count(least->sequence * least->batch), Bytes(least->bytes),
      math.has_room(least->bytes) ? "fits" : "does not fit: only a smaller model, or a smaller format of it, would"));
  page.Add(std::move(table));
}

void SayTrainingFits(const MemoryMath& math, Document& page) {
  if (math.training_fits.empty()) return;
  page.Subsection(fmt::format("What fits in {}", Bytes(math.budget)));
  Table table{{{"training"}, {"rank", Align::kRight}, {"tokens of a pass up to", Align::kRight}}, {}, "", {}};
  for (const TrainingFit& fit : math.training_fits)
    table.rows.push_back({SettingName(fit.method, fit.recompute), Count(fit.rank),
                          fit.max_tokens == 0
                              ? VerdictText("does not fit")
                              : Text((fit.max_tokens == kMostPassTokens ? "≥ " : "") + Count(fit.max_tokens))});
  page.Say(fmt::format("Tokens of all sequences of one pass; the model has {} positions for each.",
                       Count(math.max_positions)));
  page.Add(std::move(table));
}

void SayTraining(const MemoryMath& math, Document& page) {
  if (math.training.empty()) return;
  page.Section("Training");
  for (const TrainingMath& training : math.training) {
    page.Subsection(fmt::format("{}: {}", training.method, Bytes(training.bytes)));
    page.Say(training.assumptions + ".");
    Table table{{{"component"}, {"formula"}, {"size", Align::kRight}}, {}, "", {}};
    for (const MemoryPart& part : training.parts) table.rows.push_back({part.name, part.formula, Bytes(part.bytes)});
    table.rows.push_back({Strong("together"), "", Strong(Bytes(training.bytes))});
    page.Add(std::move(table));
  }
  SayTrainingPoints(math, page);
  SayTrainingFits(math, page);
}

std::string ErrorText(double predicted, double measured) {
  if (predicted == measured) return "exact";
  if (measured == 0) return "–";
  const double percent = 100 * std::fabs(predicted / measured - 1);
  return fmt::format("{}{:.{}f}%", predicted < measured ? "−" : "+", percent, percent < 0.05 ? 3 : 1);
}

void SayChecks(const MemoryMath& math, Document& page) {
  page.Section("Predicted beside measured");
  Table table{{{"what"},
               {"predicted", Align::kRight},
               {"measured", Align::kRight},
               {"error", Align::kRight},
               {"allowed", Align::kRight},
               {"holds"}},
              {},
              "",
              {}};
  // What is allocated as planned, and peaks within what they may be off by, are two kinds of proof.
  struct Tally {
    int64_t holding = 0, all = 0;
  } exact, peaks;
  for (const PredictedMeasured& check : math.checks) {
    table.rows.push_back({check.what, Bytes(check.predicted), Bytes(check.measured),
                          ErrorText(ToDouble(check.predicted), ToDouble(check.measured)),
                          check.allowed > 0 ? "± " + Bytes(check.allowed) : "none",
                          VerdictText(check.holds() ? "holds" : "does not hold")});
    Tally& kind = check.allowed > 0 ? peaks : exact;
    kind.holding += check.holds() ? 1 : 0;
    ++kind.all;
  }
  if (table.rows.empty()) {
    page.Say("Nothing was measured beside the predictions in this run.");
    return;
  }
  page.Say(
      Strong(fmt::format("{} of {} allocations are as planned, and {} of {} peaks of resident memory as predicted.",
                         exact.holding, exact.all, peaks.holding, peaks.all)));
  page.Add(std::move(table));
  page.Say(
      "What is planned is what is allocated: equal, or a bug. Peak RSS as predicted is the sum of the parts, the large "
      "ones in whole huge pages of 2 MiB, upon what the process took before it loaded anything, which is measured. It "
      "may be off by 3% and 15 MiB where an arm answers, by 5% and 30 MiB in training: the scratch of single "
      "operations, code that is touched or made on the way, and the allocator's slack are not predicted.");
}

}  // namespace

Document MemoryPage(const Pack& pack) {
  Document page{"Memory math: " + ModelName(pack), "memory", {}};
  SayPartial(pack, page);
  if (!pack.memory) {
    page.Say("The memory math of this model was not computed in this run: qad memory does it.");
    return page;
  }
  const MemoryMath& math = *pack.memory;
  SayFits(math, page);
  SayWeights(math, page);
  SayComponents(math, page);
  SayCache(math, page);
  if (math.workspace_bytes > 0)
    page.Say(fmt::format("One step of inference works in {} beside weights and cache.", Bytes(math.workspace_bytes)));
  SayMachines(math, page);
  SayTraining(math, page);
  SayChecks(math, page);
  page.Section("Caveats");
  std::vector<Text> notes(math.notes.begin(), math.notes.end());
  if (notes.empty())
    notes.emplace_back("KiB, MiB and GiB are powers of 1,024; prices and shops often mean powers of 1,000.");
  page.Add(Bullets{notes});
  return page;
}

}  // namespace qad

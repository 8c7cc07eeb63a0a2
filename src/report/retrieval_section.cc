// Retrieval: where questions are lost on their way to a right answer, and how well passages are found.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "report/benchmark_tables.h"
#include "report/charts.h"
#include "results/statistics.h"

namespace qad {
namespace {

enum Stage : size_t { kAsked, kFound, kInPrompt, kRight, kCited, kStages };

struct Funnel {
  const ArmInfo* arm = nullptr;
  std::string k;                                       // passages that are looked up
  std::array<std::optional<int64_t>, kStages> counts;  // questions that get so far; none: not measured
  bool threshold = false;
};

int64_t CountOf(const Row& share) { return std::llround(share.value * static_cast<double>(share.n)); }

// Answers that are right and cite the right passage; none where no answer's citation was looked for.
std::optional<int64_t> RightAndCited(const std::vector<Sample>& samples, const std::string& arm) {
  std::optional<int64_t> count;
  for (const Sample& sample : samples) {
    const auto citation = sample.scores.find("citation"), contains = sample.scores.find("contains");
    if (sample.arm != arm || citation == sample.scores.end() || contains == sample.scores.end()) continue;
    count = count.value_or(0) + (citation->second == 1 && contains->second == 1 ? 1 : 0);
  }
  return count;
}

Funnel FunnelOf(const Pack& pack, const ArmInfo& arm) {
  constexpr std::string_view kRecall = "recall_at_";
  const Results& results = pack.results;
  Funnel funnel{.arm = &arm, .k = "", .counts = {}, .threshold = false};
  for (const Row& row : results.rows) {
    if (row.arm != arm.name || row.slice != kRetrievalSlice || !row.metric.starts_with(kRecall)) continue;
    if (funnel.counts[kFound] > CountOf(row)) continue;  // of the smaller k
    funnel.k = row.metric.substr(kRecall.size());
    funnel.counts[kAsked] = row.n;
    funnel.counts[kFound] = CountOf(row);
  }
  const Row* right = results.Find(arm.name, kRetrievalSlice, "right_given_passage");
  if (!funnel.counts[kAsked] || right == nullptr) return funnel;
  funnel.threshold = results.Find(arm.name, kRetrievalSlice, "refusal_threshold") != nullptr;
  if (funnel.threshold || right->n != *funnel.counts[kFound]) funnel.counts[kInPrompt] = right->n;
  funnel.counts[kRight] = CountOf(*right);
  funnel.counts[kCited] = RightAndCited(pack.samples, arm.name);
  return funnel;
}

std::vector<Funnel> FunnelsOf(const Pack& pack) {
  std::vector<Funnel> funnels;
  for (const ArmInfo& arm : pack.results.arms) {
    Funnel funnel = FunnelOf(pack, arm);
    if (arm.prompting == "rag" && funnel.counts[kAsked].value_or(0) > 0) funnels.push_back(std::move(funnel));
  }
  return funnels;
}

// Stages that some arm was measured at.
std::vector<Stage> StagesOf(const std::vector<Funnel>& funnels) {
  std::vector<Stage> stages;
  for (const Stage stage : {kAsked, kFound, kInPrompt, kRight, kCited})
    if (std::ranges::any_of(funnels, [&](const Funnel& funnel) { return funnel.counts[stage].has_value(); }))
      stages.push_back(stage);
  return stages;
}

std::string NameOf(Stage stage, const Funnel& funnel) {
  switch (stage) {
    case kAsked:
      return "asked";
    case kFound:
      return fmt::format("right passage among {}", funnel.k);
    case kInPrompt:
      return funnel.threshold ? "not refused by the threshold" : "in the prompt";
    case kRight:
      return "answered right";
    default:
      return "right and cited";
  }
}

std::string CountText(const Funnel& funnel, Stage stage) {
  const auto count = static_cast<double>(*funnel.counts[stage]), all = static_cast<double>(*funnel.counts[kAsked]);
  return fmt::format("{} ({})", FormatCount(count), FormatShare(count / all));
}

struct Loss {
  std::string by;
  int64_t count = 0;
};

std::vector<Loss> LossesOf(const Funnel& funnel) {
  const std::array<const char*, kStages> by = {
      "", "retrieval", funnel.threshold ? "the threshold" : "what was left out", "the model", "the citation"};
  std::vector<Loss> losses;
  int64_t before = *funnel.counts[kAsked];
  for (const Stage stage : {kFound, kInPrompt, kRight, kCited}) {
    if (!funnel.counts[stage]) continue;
    losses.push_back({by[stage], before - *funnel.counts[stage]});
    before = *funnel.counts[stage];
  }
  return losses;
}

// "the model"; several where they lose as many, and "nothing" where none is lost.
std::string LosesMost(const std::vector<Loss>& losses) {
  const int64_t most = std::ranges::max_element(losses, {}, &Loss::count)->count;
  if (most <= 0) return "nothing";
  std::string names;
  for (const Loss& loss : losses)
    if (loss.count == most) names += (names.empty() ? "" : " and ") + loss.by;
  return names;
}

// Of the arm that gets most answers right.
std::string LossSentence(const std::vector<Funnel>& funnels) {
  const Funnel& best =
      *std::ranges::max_element(funnels, {}, [](const Funnel& funnel) { return funnel.counts[kRight].value_or(-1); });
  const std::vector<Loss> losses = LossesOf(best);
  std::string text = fmt::format("With {}{}", best.arm->name,
                                 funnels.size() > 1 && best.counts[kRight] ? ", which is right most often" : "");
  text += fmt::format(", {} loses {} of {} questions", losses[0].by, FormatCount(static_cast<double>(losses[0].count)),
                      FormatCount(static_cast<double>(*best.counts[kAsked])));
  for (size_t i = 1; i < losses.size(); ++i)
    text += fmt::format("{}{} {}", i + 1 < losses.size() ? ", " : " and ", losses[i].by,
                        FormatCount(static_cast<double>(losses[i].count)));
  if (losses.size() > 1 && LosesMost(losses) != "nothing")
    text += fmt::format("; the largest loss is by {}", LosesMost(losses));
  return text + ".";
}

Table FunnelTable(const std::vector<Funnel>& funnels, const std::vector<Stage>& stages) {
  Table table{{{"arm"}}, {}, "", {}};
  for (const Stage stage : stages) table.columns.push_back({NameOf(stage, funnels.front()), Align::kRight});
  const bool answered = std::ranges::find(stages, kRight) != stages.end();
  if (answered) table.columns.push_back({"most lost by"});
  for (const Funnel& funnel : funnels) {
    std::vector<Text> cells = {funnel.arm->name};
    for (const Stage stage : stages) cells.push_back(funnel.counts[stage] ? Text(CountText(funnel, stage)) : Missing());
    if (answered) cells.emplace_back(LosesMost(LossesOf(funnel)));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

// What is the same for all arms is drawn once.
FunnelStage DrawnStage(const Pack& pack, const std::vector<Funnel>& funnels, Stage stage) {
  FunnelStage drawn{NameOf(stage, funnels.front()), {}};
  for (const Funnel& funnel : funnels)
    if (funnel.counts[stage])
      drawn.bars.push_back({funnel.arm->name, ColourOf(pack.results, funnel.arm->name),
                            static_cast<double>(*funnel.counts[stage]) / static_cast<double>(*funnel.counts[kAsked]),
                            CountText(funnel, stage)});
  const bool same = std::ranges::all_of(
      funnels, [&](const Funnel& funnel) { return funnel.counts[stage] == funnels.front().counts[stage]; });
  if (!same || funnels.size() == 1) return drawn;
  drawn.bars.resize(1);
  drawn.bars[0].name = "every arm";
  drawn.bars[0].colour.reset();
  return drawn;
}

void SayFunnel(const Pack& pack, const std::vector<Funnel>& funnels, Document& page) {
  page.Say(LossSentence(funnels));
  const std::vector<Stage> stages = StagesOf(funnels);
  std::vector<FunnelStage> drawn;
  for (const Stage stage : stages) drawn.push_back(DrawnStage(pack, funnels, stage));
  page.Add(Picture{FunnelChart("Retrieval funnel", drawn),
                   "Questions left at each stage, with their share of those asked."});
  page.Add(FunnelTable(funnels, stages));
  std::string note =
      "Asked: evaluation questions that name the passage with their answer. Each stage counts only those that passed "
      "the one before: an answer that is right without the passage is not in it.";
  if (std::ranges::find(stages, kInPrompt) != stages.end())
    note += " Questions too long for the context, and those answered by a schema, leave at the third stage too.";
  page.Say(note, Tone::kNote);
}

std::string QualityTitle(const std::string& metric) {
  if (metric.starts_with("recall_at_")) return "recall@" + metric.substr(10);
  if (metric == "mrr") return "MRR";
  if (metric == "right_given_passage") return "right, given the passage";
  if (metric == "right_given_source") return "right, shown the source alone";
  if (metric == "stale_given_passage") return "stale, despite it";
  if (metric == "dev_refusal_auc") return "refusal AUC, dev";
  if (metric == "refusal_threshold") return "threshold";
  return metric;
}

// Finding, then refusing, then answering.
int PlaceOf(const std::string& metric) {
  if (metric.starts_with("recall_at_") || metric == "mrr") return 0;
  return metric == "dev_refusal_auc" || metric == "refusal_threshold" ? 1 : 2;
}

Table QualityTable(const Pack& pack) {
  const Results& results = pack.results;
  std::vector<std::string> metrics = MetricsOf(results, kRetrievalSlice);
  std::erase_if(metrics, [&](const std::string& metric) {  // those of the index itself belong to no arm
    return std::none_of(results.arms.begin(), results.arms.end(),
                        [&](const ArmInfo& arm) { return results.Find(arm.name, kRetrievalSlice, metric); });
  });
  std::ranges::stable_sort(metrics, {}, PlaceOf);
  Table table{{{"arm"}}, {}, "", {}};
  for (const std::string& metric : metrics) table.columns.push_back({QualityTitle(metric), Align::kRight});
  std::vector<std::string> slices = results.LeafSlices();
  std::erase_if(slices, [&](const std::string& slice) { return PrimaryMetric(pack.results, slice) != "contains"; });
  for (const std::string& slice : slices) table.columns.push_back({"right answer, " + slice, Align::kRight});
  if (metrics.empty()) return table;
  for (const ArmInfo& arm : results.arms) {
    if (arm.prompting != "rag") continue;
    std::vector<Text> cells = {arm.name};
    for (const std::string& metric : metrics)
      cells.push_back(MetricCell(results, results.Find(arm.name, kRetrievalSlice, metric)));
    for (const std::string& slice : slices) cells.push_back(ShareCell(results.Find(arm.name, slice, "contains")));
    AddIfMeasured(table, std::move(cells));
  }
  const auto has = [&](const char* metric) { return std::ranges::find(metrics, metric) != metrics.end(); };
  if (has("refusal_threshold"))
    table.caption = "Threshold: where the best passage's score is below it, the answer is a refusal.";
  if (has("right_given_passage")) {
    if (!table.caption.empty()) table.caption += " ";
    table.caption += "“Given the passage” and “despite it”: of the items whose right passage was in the prompt.";
  }
  return table;
}

// Low, middle, high, then what else the data calls its strata.
int RankOf(const std::string& stratum) {
  if (stratum == "low") return 0;
  if (stratum == "middle" || stratum == "medium") return 1;
  return stratum == "high" ? 2 : 3;
}

void AddOnce(std::vector<std::string>& list, const std::string& text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

Text CountedShare(const Row* row) {
  if (row == nullptr) return Missing();
  return ShareCell(row) + fmt::format(", n = {}", FormatCount(static_cast<double>(row->n)));
}

// Right answers of arms that look passages up, by topmost slice ("facts") and stratum of overlap.
Table OverlapTable(const Pack& pack) {
  const auto key = [](const std::string& slice, const std::string& stratum) { return slice + " by " + stratum; };
  std::vector<std::string> arms, slices, strata;
  std::vector<Sample> samples;
  for (const Sample& sample : pack.samples) {
    const ArmInfo* arm = pack.results.Arm(sample.arm);
    const auto contains = sample.scores.find("contains");
    if (!arm || arm->prompting != "rag" || sample.overlap.empty() || contains == sample.scores.end()) continue;
    const std::string slice = sample.slice.substr(0, sample.slice.find('/'));
    AddOnce(arms, sample.arm);
    AddOnce(slices, slice);
    AddOnce(strata, sample.overlap);
    Sample& kept = samples.emplace_back();
    kept.arm = sample.arm;
    kept.slice = key(slice, sample.overlap);
    kept.cluster = sample.cluster;
    kept.scores = {*contains};
  }
  std::ranges::stable_sort(strata, {}, RankOf);
  Results results;
  results.rows = SummarizeSamples(samples, ConfidenceOf(pack.results), 2000, 0);
  Table table{{{"arm"}, {"slice"}}, {}, "", {}};
  for (const std::string& stratum : strata) table.columns.push_back({stratum, Align::kRight});
  for (const std::string& arm : arms)
    for (const std::string& slice : slices) {
      std::vector<Text> cells = {arm, slice};
      for (const std::string& stratum : strata)
        cells.push_back(CountedShare(results.Find(arm, key(slice, stratum), "contains")));
      table.rows.push_back(std::move(cells));
    }
  table.caption =
      "Share of right answers (contains) by how much of its wording a question shares with the passage that holds its "
      "answer, as the data says.";
  return table;
}

}  // namespace

void SayRetrieval(const Pack& pack, Document& page) {
  page.Section("Retrieval funnel");
  Table quality = QualityTable(pack);
  if (quality.rows.empty()) {
    page.Say("Retrieval was not scored in this run.");
    return;
  }
  const std::vector<Funnel> funnels = FunnelsOf(pack);
  if (!funnels.empty()) SayFunnel(pack, funnels, page);
  page.Subsection("Retrieval quality");
  page.Add(std::move(quality));
  Table overlap = OverlapTable(pack);
  if (overlap.rows.empty()) return;
  page.Subsection("By lexical overlap");
  page.Add(std::move(overlap));
}

}  // namespace qad

// qad compare ARM ARM: the paired difference of two arms, from existing results.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/suggest.h"
#include "base/units.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/pack.h"
#include "results/slices.h"
#include "results/statistics.h"
#include "text/dataset.h"

namespace qad {
namespace {

struct Options {
  std::filesystem::path config;
  std::string better, than, slice, metric;
  bool allow_partial = false;
};

std::vector<Sample> SamplesOf(const std::vector<Sample>& all, const Results& results, const std::string& arm) {
  if (results.Arm(arm) == nullptr) {
    std::vector<std::string> known;
    std::string list;
    for (const ArmInfo& info : results.arms) {
      known.push_back(info.name);
      list += (list.empty() ? "" : ", ") + info.name;
    }
    Fail(ErrorKind::kUsage, "'{}' is none of the arms{}; there are {}", arm, Suggestion(arm, known), list);
  }
  std::vector<Sample> samples;
  std::ranges::copy_if(all, std::back_inserter(samples), [&](const Sample& sample) { return sample.arm == arm; });
  if (samples.empty()) FailInput("{}: there are no samples of this arm; it answers nothing by itself", arm);
  return samples;
}

// What was declared before the run, this way round or the other, has a verdict there, corrected with all others;
// nothing else gets one.
Comparison WithVerdict(const Results& results, Comparison pair) {
  for (const Comparison& declared : results.comparisons) {
    if (!declared.declared || declared.slice != pair.slice || declared.metric != pair.metric) continue;
    if (declared.better == pair.better && declared.than == pair.than) return declared;
    if (declared.better == pair.than && declared.than == pair.better) return Turned(declared);
  }
  pair.verdict.clear();
  return pair;
}

std::vector<Comparison> Compare(const Config& config, const Results& results, const std::vector<Sample>& samples,
                                const Options& options) {
  const std::vector<Sample> better = SamplesOf(samples, results, options.better),
                            than = SamplesOf(samples, results, options.than);
  std::set<std::string> metrics;
  for (const Sample& sample : better)
    for (const auto& [metric, score] : sample.scores) metrics.insert(metric);
  const CompareOptions compare{.confidence = config.eval.confidence,
                               .bootstrap = config.eval.bootstrap,
                               .seed = config.seed,
                               .margin = config.eval.margin};
  std::vector<Comparison> pairs;
  for (const std::string& slice : results.Slices()) {
    if (!options.slice.empty() && !SliceMatches(slice, options.slice)) continue;
    for (const std::string& metric : metrics) {
      if (options.metric.empty() ? metric != PrimaryMetric(results, slice) : metric != options.metric) continue;
      Comparison pair = ComparePaired(better, than, slice, metric, compare);
      if (pair.n == 0) continue;
      pairs.push_back(WithVerdict(results, std::move(pair)));
    }
  }
  if (pairs.empty()) {
    std::string known;
    for (const std::string& metric : metrics) known += (known.empty() ? "" : ", ") + metric;
    Fail(ErrorKind::kUsage, "nothing that both arms have a score for{}{}; metrics are {}",
         options.slice.empty() ? "" : ", slice " + options.slice,
         options.metric.empty() ? "" : ", metric " + options.metric, known);
  }
  return pairs;
}

Json PairJson(const Comparison& pair) {
  return {{"slice", pair.slice},
          {"metric", pair.metric},
          {"n", pair.n},
          {"clusters", pair.clusters},
          {"difference", pair.difference},
          {"low", pair.low},
          {"high", pair.high},
          {"p_value", pair.p_value},
          {"detectable", pair.detectable},
          {"declared", pair.declared},
          {"p_adjusted", pair.declared ? Json(pair.p_adjusted) : Json()},
          {"verdict", pair.declared ? Json(pair.verdict) : Json()}};
}

void PrintPairs(const Options& options, const std::vector<Comparison>& pairs) {
  fmt::print("{} less {}, on the items that both have answered\n\n{:<24} {:<18} {:>5} {:>10} {:>22} {:>8}  {}\n",
             options.better, options.than, "slice", "metric", "items", "difference", "interval", "p", "verdict");
  for (const Comparison& pair : pairs)
    fmt::print("{:<24} {:<18} {:>5} {:>10.3f} {:>22} {:>8.3f}  {}\n", pair.slice, pair.metric, pair.n, pair.difference,
               fmt::format("{:.3f} to {:.3f}", pair.low, pair.high), pair.declared ? pair.p_adjusted : pair.p_value,
               pair.declared ? pair.verdict : "");
  fmt::print("\n{}\n",
             "Comparisons that were declared before the run have a verdict, their p corrected for all of those; the "
             "others are exploratory: intervals, each by itself.");
}

void CompareCommand(const Options& options, const GlobalFlags& flags) {
  if (options.better == options.than)
    Fail(ErrorKind::kUsage, "compare: '{}' is given twice; name another arm to hold it against", options.than);
  const Config config = LoadConfig(options.config);
  const std::filesystem::path root = ResultsRoot(config, options.allow_partial);
  const Results results = ReadResults(root / "results.json");
  const std::vector<Comparison> pairs = Compare(config, results, ReadAllSamples(root, results), options);
  if (flags.json) {
    Json list = Json::array();
    for (const Comparison& pair : pairs) list.push_back(PairJson(pair));
    return PrintJson(Json{{"better", options.better}, {"than", options.than}, {"comparisons", list}});
  }
  PrintPairs(options, pairs);
}

}  // namespace

std::function<void()> AddCompareCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("arm", options->better, "the arm that is looked at")->required();
  app.add_option("than", options->than, "the arm it is held against")->required();
  AddConfig(app, options->config);
  app.add_option("--slice", options->slice, "this slice and what lies below it; all where not given");
  app.add_option("--metric", options->metric, "this metric; the one that each slice is judged by where not given");
  app.add_flag("--allow-partial", options->allow_partial, "of a run that was cut");
  return [options, &flags] { CompareCommand(*options, flags); };
}

}  // namespace qad

// A few items of every slice with what each arm answered, side by side.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/units.h"
#include "report/pages.h"

namespace qad {
namespace {

constexpr size_t kItemsPerSlice = 20;
constexpr size_t kLongest = 600;  // bytes of an output that are shown

struct Item {
  std::string name;
  std::vector<const Sample*> samples;  // one per arm
};

// Cut at a whole character.
std::string Shorten(const std::string& text) {
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + " …";
}

double ScoreOf(const Sample& sample, const std::string& metric) {
  const auto score = sample.scores.find(metric);
  return score == sample.scores.end() ? 0 : score->second;
}

// Items on which the arms differ say most: those with the largest variance of scores first, ties in the data's order.
std::vector<Item> PickItems(const Pack& pack, const std::string& slice, const std::string& metric) {
  std::vector<Item> items;
  std::map<std::string, size_t> index;
  for (const Sample& sample : pack.samples) {
    if (sample.slice != slice) continue;
    if (index.emplace(sample.item, items.size()).second) items.push_back({sample.item, {}});
    items[index[sample.item]].samples.push_back(&sample);
  }
  const auto variance = [&](const Item& item) {
    double sum = 0, squares = 0;
    for (const Sample* sample : item.samples) {
      const double score = ScoreOf(*sample, metric);
      sum += score;
      squares += score * score;
    }
    const auto n = static_cast<double>(item.samples.size());
    return squares / n - (sum / n) * (sum / n);
  };
  std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) { return variance(a) > variance(b); });
  if (items.size() > kItemsPerSlice) items.resize(kItemsPerSlice);
  return items;
}

Fold ShowItem(const Pack& pack, const Item& item, const std::string& metric) {
  const std::string& expected = item.samples.front()->expected;
  Fold fold{item.name + (expected.empty() ? "" : " — expected: " + Shorten(expected)), {}};
  Table table{{{"arm"}, {metric, Align::kRight}, {"output"}, {"passages"}}, {}, "", {}};
  for (const Sample* sample : item.samples) {
    std::string passages;
    for (const std::string& passage : sample->passages)
      passages += (passages.empty() ? "" : ", ") + passage + (passage == sample->citation ? " (cited)" : "");
    const double score = ScoreOf(*sample, metric);
    const Text verdict = score == 1   ? Text("right", Style::kGood)
                         : score == 0 ? Text("wrong", Style::kBad)
                                      : Text(FormatNumber(score));
    Text output = Shorten(sample->output);
    if (sample->truncated) output += Muted(" (cut at the token limit)");
    if (IsRecommended(pack, sample->arm)) table.chosen = table.rows.size();
    table.rows.push_back({sample->arm, verdict, output, passages.empty() ? Missing() : Text(passages)});
  }
  fold.tables.push_back(std::move(table));
  return fold;
}

}  // namespace

Document SamplesPage(const Pack& pack) {
  Document page{"Samples side by side", "samples", {}};
  if (pack.samples.empty()) {
    page.Say("No samples were kept in this run.");
    return page;
  }
  page.Say(
      fmt::format("Of every slice the {} items on which the arms differ most. All samples are in samples/ of the "
                  "output folder, one a line.",
                  kItemsPerSlice));
  for (const std::string& slice : pack.results.LeafSlices()) {
    const std::string metric = PrimaryMetric(pack.results, slice);
    const std::vector<Item> items = PickItems(pack, slice, metric);
    if (items.empty()) continue;
    page.Section(slice);
    for (const Item& item : items) page.Add(ShowItem(pack, item, metric));
  }
  return page;
}

}  // namespace qad

#include "experiment/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "retrieve/prompt.h"
#include "text/unicode.h"

namespace qad {
namespace {

constexpr double kTrainShare = 0.5, kDevShare = 0.1;

// Places of items that must not be parted.
using Unit = std::vector<size_t>;

// What is asked in the same words, in order of first appearance.
std::vector<Unit> UnitsOf(std::span<const Item> items) {
  std::vector<Unit> units;
  std::map<std::string, size_t> unit_of;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string_view asked = items[i].plain_text ? items[i].completion : QuestionOf(items[i]);
    const auto [at, added] = unit_of.emplace(NormalizeAnswer(asked), units.size());
    if (added) units.emplace_back();
    units[at->second].push_back(i);
  }
  return units;
}

void Append(const Unit& unit, std::vector<size_t>& to) { to.insert(to.end(), unit.begin(), unit.end()); }

// Eval gets at least one of several, and so does train.
void Deal(std::vector<Unit>& units, Random& random, Split& split) {
  random.Shuffle(units);
  const auto count = static_cast<double>(units.size());
  const size_t most = units.size() > 1 ? units.size() - 1 : 0;
  const auto train = std::min(most, static_cast<size_t>(std::lround(kTrainShare * count)));
  const auto dev = std::min(most - train, static_cast<size_t>(std::lround(kDevShare * count)));
  for (size_t i = 0; i < units.size(); ++i)
    Append(units[i], i < train ? split.train : i < train + dev ? split.dev : split.eval);
}

}  // namespace

Split SplitItems(std::span<const Item> items, uint64_t seed) {
  // Facts that are asked about in several ways are dealt by themselves, all else by slice.
  std::map<std::string, std::vector<Unit>> facts, slices;
  for (Unit& unit : UnitsOf(items)) {
    const Item& first = items[unit.front()];
    auto& pile = first.fact.empty() ? slices[first.slice] : facts[first.fact];
    pile.push_back(std::move(unit));
  }
  Split split;
  Random random(seed);
  for (auto& [fact, units] : facts) {
    if (units.size() > 1)
      Deal(units, random, split);
    else
      slices[items[units.front().front()].slice].push_back(std::move(units.front()));
  }
  for (auto& [slice, units] : slices) Deal(units, random, split);
  if (split.train.empty() || split.eval.empty())
    FailInput("{} different questions are too few to learn from some and be judged on others",
              split.train.size() + split.eval.size() + split.dev.size());
  for (std::vector<size_t>* part : {&split.train, &split.dev, &split.eval}) std::ranges::sort(*part);
  return split;
}

}  // namespace qad

#include "experiment/shots.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "retrieve/prompt.h"

namespace qad {
namespace {

constexpr uint64_t kShotStream = 0x5407;

// One item of each group in turn.
std::vector<Item> RoundRobin(const std::vector<std::vector<const Item*>>& groups, size_t count) {
  std::vector<Item> taken;
  for (size_t turn = 0; taken.size() < count; ++turn) {
    const size_t before = taken.size();
    for (const std::vector<const Item*>& items : groups)
      if (turn < items.size() && taken.size() < count) taken.push_back(*items[turn]);
    if (taken.size() == before) break;
  }
  return taken;
}

// Items with the same answer, groups and items in the order of the file.
std::vector<std::vector<const Item*>> GroupByAnswer(const std::vector<const Item*>& items) {
  std::vector<std::vector<const Item*>> groups;
  for (const Item* item : items) {
    const auto group =
        std::ranges::find(groups, item->completion, [](const auto& members) { return members.front()->completion; });
    if (group == groups.end())
      groups.push_back({item});
    else
      group->push_back(item);
  }
  return groups;
}

// Answers and refusals as they stand to each other, at least one of each where there are both and room.
std::vector<Item> Proportional(const std::vector<const Item*>& answers, const std::vector<const Item*>& refusals,
                               size_t count) {
  const double share =
      static_cast<double>(refusals.size()) / static_cast<double>(std::max<size_t>(answers.size() + refusals.size(), 1));
  size_t refused = static_cast<size_t>(std::lround(share * static_cast<double>(count)));
  if (count >= 2 && !refusals.empty()) refused = std::clamp<size_t>(refused, 1, count - 1);
  refused = std::min(refused, refusals.size());
  std::vector<Item> shots;
  for (size_t i = 0; i < std::min(count - refused, answers.size()); ++i) shots.push_back(*answers[i]);
  for (size_t i = 0; i < refused; ++i) shots.push_back(*refusals[i]);
  return shots;
}

bool CanBeShown(const Item& item) { return !item.plain_text && item.passages.empty(); }

}  // namespace

std::vector<Item> ChooseShots(const std::vector<Item>& train, bool with_schema, int count, uint64_t seed) {
  std::vector<const Item*> candidates;
  for (const Item& item : train)
    if (CanBeShown(item) && item.schema.empty() != with_schema) candidates.push_back(&item);
  const auto wanted = static_cast<size_t>(count);
  if (with_schema) return RoundRobin(GroupByAnswer(candidates), wanted);
  Random(seed, kShotStream).Shuffle(candidates);
  std::vector<const Item*> answers, refusals;
  for (const Item* item : candidates) (item->answerable ? answers : refusals).push_back(item);
  return Proportional(answers, refusals, wanted);
}

Shots::Shots(const std::vector<Item>& train, const FewShotOptions& options, uint64_t seed)
    : count_(static_cast<size_t>(options.examples)) {
  if (options.select == "fixed") {
    for (const bool with_schema : {false, true})
      fixed_[with_schema ? 1 : 0] = ChooseShots(train, with_schema, options.examples, seed);
    return;
  }
  std::vector<std::string> questions;
  for (const Item& item : train)
    if (CanBeShown(item)) questions.emplace_back(QuestionOf(item));
  words_ = std::make_unique<TfIdf>(questions);
  size_t next = 0;
  for (const Item& item : train)
    if (CanBeShown(item)) candidates_.push_back({&item, words_->Transform(questions[next++])});
}

std::vector<Item> Shots::For(const Item& item) const {
  if (words_ == nullptr) return fixed_[item.schema.empty() ? 0 : 1];
  const std::string_view asked = QuestionOf(item);
  const SparseVector question = words_->Transform(asked);
  std::vector<std::pair<double, const Item*>> ranked;
  for (const Candidate& candidate : candidates_) {
    if (candidate.item->schema.empty() != item.schema.empty() || QuestionOf(*candidate.item) == asked) continue;
    ranked.emplace_back(Dot(question, candidate.question), candidate.item);
  }
  std::ranges::stable_sort(ranked, std::ranges::greater(), &std::pair<double, const Item*>::first);
  std::vector<Item> shots;
  for (size_t i = std::min(count_, ranked.size()); i-- > 0;) shots.push_back(*ranked[i].second);
  return shots;
}

}  // namespace qad

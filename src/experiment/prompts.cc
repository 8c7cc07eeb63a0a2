#include "experiment/prompts.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "retrieve/prompt.h"
#include "text/prompt.h"

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

}  // namespace

std::vector<Item> ChooseShots(const std::vector<Item>& train, bool with_schema, int count, uint64_t seed) {
  std::vector<const Item*> candidates;
  for (const Item& item : train)
    if (!item.plain_text && item.schema.empty() != with_schema && item.passages.empty()) candidates.push_back(&item);
  const auto wanted = static_cast<size_t>(count);
  if (with_schema) return RoundRobin(GroupByAnswer(candidates), wanted);
  Random(seed, kShotStream).Shuffle(candidates);
  std::vector<const Item*> answers, refusals;
  for (const Item* item : candidates) (item->answerable ? answers : refusals).push_back(item);
  return Proportional(answers, refusals, wanted);
}

PromptMaker::PromptMaker(const Workspace& workspace, const Index* index)
    : workspace_(workspace),
      index_(index),
      schema_shots_(ChooseShots(workspace.train, true, workspace.config.few_shot.examples, workspace.config.seed)),
      answer_shots_(ChooseShots(workspace.train, false, workspace.config.few_shot.examples, workspace.config.seed)) {}

namespace {

// A text has no question: its first token, or the one that begins every text, stands for the prompt.
Prompt TextPrompt(const Tokenizer& tokenizer, const Item& item) {
  std::vector<TokenId> tokens = tokenizer.Encode(item.completion);
  if (tokenizer.add_bos()) tokens.insert(tokens.begin(), *tokenizer.bos());
  Prompt prompt;
  if (tokens.size() < 2) return prompt;
  prompt.tokens = {tokens.front()};
  prompt.reference.assign(tokens.begin() + 1, tokens.end());
  return prompt;
}

}  // namespace

Prompt PromptMaker::Make(const Model& model, const ArmConfig& arm, const Item& item) const {
  if (item.plain_text) return TextPrompt(model.tokenizer, item);
  Prompt prompt;
  prompt.reference = model.tokenizer.Encode(item.completion);
  std::span<const Item> shots;
  if (arm.prompting == Prompting::kFewShot) shots = item.schema.empty() ? answer_shots_ : schema_shots_;
  std::vector<Message> messages = BuildMessages(item, workspace_.config.data.system_prompt, shots);
  std::vector<Passage> passages = item.passages;
  if (passages.empty() && arm.prompting == Prompting::kRag && item.retrieve) {
    QAD_CHECK(index_ != nullptr);
    passages = ToPassages(index_->Search(QuestionOf(item), workspace_.config.rag.top_k));
    prompt.nothing_found = passages.empty();
  }
  for (const Passage& passage : passages) prompt.passages.push_back(passage.id);
  messages = PutPassages(std::move(messages), passages).messages;
  prompt.tokens = model.chat.Encode(model.tokenizer, messages, true);
  return prompt;
}

std::string RefusalOf(const Workspace& workspace) {
  const auto refusal = std::ranges::find(workspace.train, false, &Item::answerable);
  return refusal != workspace.train.end() ? refusal->completion : "The documents do not say.";
}

std::unique_ptr<Index> OpenIndex(Workspace& workspace, bool rebuild, IndexReport* report) {
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path path = workspace.config.output / "index.db";
  // Length is counted in words: the index must not depend on which model will read it.
  WriteIndex(path, ChunkDocuments(workspace.CurrentDocuments(), workspace.config.rag.chunk_tokens, CountWords),
             rebuild);
  auto index = std::make_unique<Index>(path);
  if (report != nullptr)
    *report = {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
               static_cast<size_t>(index->chunks())};
  return index;
}

}  // namespace qad

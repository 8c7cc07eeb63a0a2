#include "experiment/prompts.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "retrieve/prompt.h"
#include "text/prompt.h"

namespace qad {

bool Fits(const Workspace& workspace, const Model& model, const Prompt& prompt, size_t behind) {
  const size_t tokens = prompt.tokens.size();
  return tokens > 0 && tokens <= static_cast<size_t>(workspace.config.data.max_length) &&
         tokens + behind <= model.config().max_positions;
}

size_t LongestChoice(const Prompt& prompt) {
  size_t longest = 0;
  for (const std::vector<TokenId>& choice : prompt.choices) longest = std::max(longest, choice.size());
  return longest;
}

PromptMaker::PromptMaker(const Workspace& workspace, const Index* index)
    : workspace_(workspace), index_(index), shots_(workspace.train, workspace.config.few_shot, workspace.config.seed) {
  if (index_ != nullptr && workspace.config.rag.refuse == "calibrated")
    refusal_ = CalibrateRefusal(*index_, workspace.dev);
}

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
  std::vector<Item> shots;
  if (arm.prompting == Prompting::kFewShot) shots = shots_.For(item);
  std::vector<Message> messages = BuildMessages(item, workspace_.config.data.system_prompt, shots);
  for (const std::string& choice : item.choices) prompt.choices.push_back(model.tokenizer.Encode(choice));
  std::vector<Passage>& passages = prompt.passages = item.passages;
  if (passages.empty() && arm.prompting == Prompting::kRag && item.retrieve) {
    QAD_CHECK(index_ != nullptr);
    const Found found = index_->Find(QuestionOf(item), workspace_.config.rag.top_k);
    const bool too_bad = refusal_.threshold && found.support < *refusal_.threshold;
    prompt.nothing_found = item.IsLookedUp() && (found.hits.empty() || too_bad);
    if (!prompt.nothing_found) passages = ToPassages(found.hits);
  }
  messages = PutPassages(std::move(messages), passages).messages;
  prompt.tokens = model.chat.Encode(model.tokenizer, messages, true);
  prompt.messages = std::move(messages);
  return prompt;
}

std::string RefusalOf(const Workspace& workspace) {
  const auto refusal = std::ranges::find(workspace.train, false, &Item::answerable);
  return refusal != workspace.train.end() ? refusal->completion : "The documents do not say.";
}

std::filesystem::path IndexPath(const Config& config) { return config.output / "index.db"; }

namespace {

// Whether it was made, or made again. Length is counted in words: an index must not depend on which model will read it.
bool MakeIndex(Workspace& workspace, const std::filesystem::path& path,
               const std::vector<std::filesystem::path>& documents, bool rebuild) {
  return WriteIndex(path, ChunkDocuments(documents, workspace.config.rag.chunk_tokens, CountWords),
                    workspace.DocumentEmbedder(), rebuild);
}

}  // namespace

std::unique_ptr<Index> OpenEarlierIndex(Workspace& workspace) {
  const std::filesystem::path path = workspace.root / "cache" / "earlier-index.db";
  MakeIndex(workspace, path, workspace.config.data.documents, false);
  return std::make_unique<Index>(path, workspace.DocumentRetriever(), workspace.DocumentEmbedder());
}

std::unique_ptr<Index> OpenIndex(Workspace& workspace, bool rebuild, IndexReport* report) {
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path path = IndexPath(workspace.config);
  const bool written = MakeIndex(workspace, path, workspace.CurrentDocuments(), rebuild);
  auto index = std::make_unique<Index>(path, workspace.DocumentRetriever(), workspace.DocumentEmbedder());
  if (report != nullptr)
    *report = {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
               static_cast<size_t>(index->chunks()), written};
  return index;
}

}  // namespace qad

#include "experiment/dev_set.h"

#include <algorithm>

#include "base/huge_pages.h"
#include "evaluate/metrics.h"
#include "memory/estimate.h"
#include "model/footprint.h"
#include "model/generation.h"
#include "retrieve/prompt.h"
#include "text/prompt.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kSequencesAtOnce = 8;  // their cache comes on top of a training's tape

}  // namespace

std::vector<Item> WithPassages(Workspace& workspace, std::vector<Item> items) {
  const std::unique_ptr<Index> index = OpenEarlierIndex(workspace);
  for (Item& item : items)
    if (item.passages.empty() && item.retrieve && !item.plain_text)
      item.passages = ToPassages(index->Search(QuestionOf(item), workspace.config.rag.top_k));
  return items;
}

DevSet::DevSet(Workspace& workspace, const Model& model, const std::vector<Item>& dev, Prompting prompting)
    : workspace_(workspace), refusals_(RefusalSentences(workspace.train)) {
  const PromptMaker maker(workspace, nullptr);
  const ArmConfig arm{.name = "dev", .adapter = {}, .prompting = prompting};
  const auto new_tokens = static_cast<size_t>(workspace.config.eval.max_new_tokens);
  size_t longest = 0;
  for (const Item& item : dev) {
    if (PrimaryMetricOfAnswer(item).empty()) continue;
    std::vector<TokenId> tokens = maker.Make(model, arm, item).tokens;
    if (tokens.empty() || tokens.size() > static_cast<size_t>(workspace.config.data.max_length) ||
        tokens.size() + new_tokens > model.config().max_positions)
      continue;
    items_.push_back(item);
    longest = std::max(longest, tokens.size());
    prompts_.push_back(std::move(tokens));
  }
  if (empty()) return;
  const size_t sequences = std::min(kSequencesAtOnce, items_.size()), context = longest + new_tokens;
  bytes_ = HugeSize(KvBytes(model.config(), context, sequences, FormatId::kF16)) +
           InferenceBytes(model.config(), context, sequences);
}

std::map<std::string, double> DevSet::Score(Model& model) const {
  const std::vector<Generated> answers = Generate(
      workspace_.context, model.transformer, model.tokenizer, prompts_,
      {.max_new_tokens = workspace_.config.eval.max_new_tokens, .max_batch = kSequencesAtOnce, .on_token = {}});
  std::map<std::string, std::pair<double, size_t>> slices;
  for (size_t i = 0; i < items_.size(); ++i) {
    const std::string output = model.tokenizer.Decode(answers[i].tokens);
    const std::map<std::string, double> all =
        ScoreAnswer({.item = items_[i], .output = output, .truncated = answers[i].truncated, .refusals = refusals_});
    auto& [sum, count] = slices[items_[i].slice];
    sum += all.at(std::string(PrimaryMetricOfAnswer(items_[i])));
    ++count;
  }
  std::map<std::string, double> shares;
  for (const auto& [slice, sum] : slices) shares[slice] = sum.first / static_cast<double>(sum.second);
  return shares;
}

}  // namespace qad

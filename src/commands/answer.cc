#include "commands/answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "evaluate/citation.h"
#include "evaluate/metrics.h"
#include "experiment/stages.h"
#include "model/generation.h"
#include "results/decision.h"
#include "text/text_stream.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

std::string DefaultArm(const Config& config) {
  const fs::path path = config.output / "decision.json";
  const bool decided = fs::exists(path);
  if (decided)
    if (std::string recommended = ReadDecision(path).recommended; !recommended.empty()) return recommended;
  const std::string& first = config.arms.front().name;
  fmt::print(stderr, "{}: {}; asking the first arm, '{}' (--arm names another)\n", path.string(),
             decided ? "recommends none of the arms" : "no decision there yet", first);
  return first;
}

// A refusal rests on no passage.
void Cite(const Item& item, std::span<const std::string> refusals, Reply& answer) {
  const auto scores = ScoreAnswer({.item = item, .output = answer.text, .refusals = refusals});
  if (const auto refused = scores.find("refused"); refused != scores.end() && refused->second == 1) return;
  if (const auto cited = CitedPassage(answer.text, answer.passages)) answer.citation = answer.passages[*cited].id;
}

}  // namespace

std::vector<std::string> IdsOf(const std::vector<Passage>& passages) {
  std::vector<std::string> ids;
  for (const Passage& passage : passages) ids.push_back(passage.id);
  return ids;
}

const ArmConfig& ArmToAsk(const Config& config, const std::string& name) {
  const std::string wanted = name.empty() ? DefaultArm(config) : name;
  const auto arm = std::ranges::find(config.arms, wanted, &ArmConfig::name);
  if (arm != config.arms.end()) return *arm;
  const auto plain = [](std::string text) {
    std::erase(text, ' ');
    return text;
  };
  for (const ArmConfig& each : config.arms)  // "base+rag"
    if (plain(each.name) == plain(wanted)) return each;
  std::string known;
  for (const ArmConfig& each : config.arms) known += (known.empty() ? "" : ", ") + each.name;
  Fail(ErrorKind::kUsage, "'{}' is none of the arms; {} has {}", wanted, config.file.string(), known);
}

namespace {

Model& CurrentModel(Workspace& workspace, const ArmConfig& arm) {
  RequireMade(workspace, arm);
  return ModelOf(workspace, arm);
}

}  // namespace

Answerer::Answerer(const fs::path& config, const std::string& arm, int threads)
    : workspace_(LoadConfig(config), {}, threads, true),
      arm_(ArmToAsk(workspace_.config, arm)),
      model_(CurrentModel(workspace_, arm_)),
      endpoint_(arm_.endpoint ? std::make_unique<Endpoint>(arm_.endpoint->options) : nullptr),
      index_(arm_.prompting == Prompting::kRag ? OpenIndex(workspace_, false, nullptr) : nullptr),
      maker_(workspace_, index_.get()),
      refusals_(RefusalSentences(workspace_.train)) {}

bool Answerer::Fits(const std::vector<Message>& messages) const {
  if (endpoint_ != nullptr) return true;
  Item item;
  item.messages = messages;
  return maker_.Make(model_, arm_, item).tokens.size() + static_cast<size_t>(workspace_.config.eval.max_new_tokens) <=
         model_.config().max_positions;
}

Reply Answerer::Ask(const std::vector<Message>& messages, const std::function<void(std::string_view)>& shown) {
  Item item;
  item.messages = messages;
  const Prompt prompt = maker_.Make(model_, arm_, item);
  if (prompt.nothing_found) {
    Reply answer{.text = RefusalOf(workspace_), .passages = {}, .nothing_found = true};
    if (shown) shown(answer.text);
    return answer;
  }
  Reply answer = endpoint_ != nullptr ? AskEndpoint(prompt, shown) : AskModel(prompt, shown);
  answer.passages = prompt.passages;
  Cite(item, refusals_, answer);
  return answer;
}

Reply Answerer::AskEndpoint(const Prompt& prompt, const std::function<void(std::string_view)>& shown) {
  const EvalOptions& eval = workspace_.config.eval;
  EndpointAnswer said =
      endpoint_->Ask(prompt.messages, eval.max_new_tokens, eval.temperature, workspace_.config.seed, shown);
  const TokenCounts counts =
      CountTokens(said, prompt.messages, eval.max_new_tokens, prompt.tokens.size(), model_.tokenizer);
  return {.text = std::move(said.text),
          .passages = {},
          .prompt_tokens = counts.prompt,
          .output_tokens = counts.output,
          .truncated = said.truncated,
          .first_token_seconds = said.first_token_seconds,
          .seconds = said.seconds};
}

Reply Answerer::AskModel(const Prompt& prompt, const std::function<void(std::string_view)>& shown) {
  GenerateOptions generate;
  generate.max_new_tokens = workspace_.config.eval.max_new_tokens;
  generate.temperature = workspace_.config.eval.temperature;
  generate.seed = workspace_.config.seed;
  TextStream stream(model_.tokenizer, shown);
  if (shown) generate.on_token = [&](size_t, TokenId token) { stream.Add(token); };
  const std::vector<std::vector<TokenId>> prompts{prompt.tokens};
  const Generated generated =
      Generate(workspace_.context, model_.transformer, model_.tokenizer, prompts, generate).front();
  if (shown) stream.End();
  return {.text = model_.tokenizer.Decode(generated.tokens),
          .passages = {},
          .prompt_tokens = static_cast<int64_t>(prompt.tokens.size()),
          .output_tokens = static_cast<int64_t>(generated.tokens.size()),
          .truncated = generated.truncated,
          .first_token_seconds = generated.first_token_seconds,
          .seconds = generated.seconds};
}

}  // namespace qad

// qad ask: a question put to one arm of a configuration.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "experiment/prompts.h"
#include "model/generation.h"
#include "results/decision.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Options {
  fs::path config;
  std::string arm, question;
};

struct Answer {
  std::string text;
  std::vector<std::string> passages;
  bool nothing_found = false;  // the text is the refusal, and the model did not run
  size_t prompt_tokens = 0;
  Generated generated;
};

// What the last whole run recommends; else, with a line that says why, the first arm.
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

const ArmConfig& FindArm(const Config& config, const std::string& name) {
  const auto arm = std::ranges::find(config.arms, name, &ArmConfig::name);
  if (arm != config.arms.end()) return *arm;
  std::string known;
  for (const ArmConfig& each : config.arms) known += (known.empty() ? "" : ", ") + each.name;
  Fail(ErrorKind::kUsage, "ask: '{}' is none of the arms; {} has {}", name, config.file.string(), known);
}

Answer AnswerOf(Workspace& workspace, const ArmConfig& arm, const std::string& question) {
  const fs::path adapter = arm.adapter.empty() ? fs::path() : workspace.AdapterFolder(arm.adapter);
  Model& model = workspace.models.Get(arm.weights, adapter);
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  Item item;
  item.messages = {{"user", question}};
  const Prompt prompt = PromptMaker(workspace, index.get()).Make(model, arm, item);
  if (prompt.nothing_found)
    return {.text = RefusalOf(workspace), .passages = {}, .nothing_found = true, .generated = {}};
  GenerateOptions generate;
  generate.max_new_tokens = workspace.config.eval.max_new_tokens;
  generate.temperature = workspace.config.eval.temperature;
  generate.seed = workspace.config.seed;
  const std::vector<std::vector<TokenId>> prompts{prompt.tokens};
  Answer answer{.text = "", .passages = prompt.passages, .prompt_tokens = prompt.tokens.size(), .generated = {}};
  answer.generated = Generate(workspace.context, model.transformer, model.tokenizer, prompts, generate).front();
  answer.text = model.tokenizer.Decode(answer.generated.tokens);
  return answer;
}

Json AnswerJson(const std::string& arm, const Answer& answer) {
  return {{"arm", arm},
          {"answer", answer.text},
          {"passages", answer.passages},
          {"prompt_tokens", answer.prompt_tokens},
          {"output_tokens", answer.generated.tokens.size()},
          {"truncated", answer.generated.truncated},
          {"time_to_first_token", answer.generated.first_token_seconds},
          {"seconds", answer.generated.seconds}};
}

void PrintAnswer(const std::string& arm, const Answer& answer) {
  fmt::print("{}\n", answer.text);
  for (size_t i = 0; i < answer.passages.size(); ++i)
    fmt::print("{} {}\n", i == 0 ? "passages:" : "         ", answer.passages[i]);
  if (answer.nothing_found) {
    fmt::print("passages: none found\n");
    fmt::print(stderr, "{}, refused without running the model\n", arm);
    return;
  }
  fmt::print(stderr, "{}, first token after {}, all after {}\n", arm,
             FormatSeconds(answer.generated.first_token_seconds), FormatSeconds(answer.generated.seconds));
}

void AskCommand(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), {}, flags.threads, true);
  const ArmConfig arm = FindArm(workspace.config, options.arm.empty() ? DefaultArm(workspace.config) : options.arm);
  const Answer answer = AnswerOf(workspace, arm, options.question);
  if (flags.json) return PrintJson(AnswerJson(arm.name, answer));
  PrintAnswer(arm.name, answer);
}

}  // namespace

std::function<void()> AddAskCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("question", options->question, "what to ask")->required();
  AddConfig(app, options->config);
  app.add_option("--arm", options->arm, "arm of the configuration; the recommended one where not given");
  return [options, &flags] { AskCommand(*options, flags); };
}

}  // namespace qad

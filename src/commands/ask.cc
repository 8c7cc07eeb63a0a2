// qad index, ask: the documents of a configuration, and a question put to one of its arms.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "commands/command.h"
#include "experiment/prompts.h"
#include "experiment/workspace.h"
#include "model/generation.h"
#include "results/decision.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Options {
  fs::path config;
  std::string arm, question;
};

// The arm that was named, else the recommended one of the last run, else the first of the configuration.
const ArmConfig& ChooseArm(const Config& config, std::string name) {
  const fs::path decision = config.output / "decision.json";
  if (name.empty() && fs::exists(decision)) name = ReadDecision(decision).recommended;
  if (name.empty()) return config.arms.front();
  const auto arm = std::ranges::find(config.arms, name, &ArmConfig::name);
  if (arm != config.arms.end()) return *arm;
  std::string known;
  for (const ArmConfig& each : config.arms) known += (known.empty() ? "" : ", ") + each.name;
  Fail(ErrorKind::kUsage, "ask: '{}' is none of the arms; {} has {}", name, config.file.string(), known);
}

void Ask(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), {}, flags.threads, true);
  const ArmConfig arm = ChooseArm(workspace.config, options.arm);
  const fs::path adapter = arm.adapter.empty() ? fs::path() : workspace.AdapterFolder(arm.adapter);
  Model& model = workspace.models.Get(arm.weights, adapter);
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  Item item;
  item.messages = {{"user", options.question}};
  const Prompt prompt = PromptMaker(workspace, index.get()).Make(model, arm, item);
  GenerateOptions generate;
  generate.max_new_tokens = workspace.config.eval.max_new_tokens;
  generate.temperature = workspace.config.eval.temperature;
  generate.seed = workspace.config.seed;
  const std::vector<std::vector<TokenId>> prompts{prompt.tokens};
  const Generated out = Generate(workspace.context, model.transformer, model.tokenizer, prompts, generate).front();
  const std::string answer = prompt.nothing_found ? RefusalOf(workspace) : model.tokenizer.Decode(out.tokens);
  if (flags.json)
    return PrintJson(Json{{"arm", arm.name},
                          {"answer", answer},
                          {"passages", prompt.passages},
                          {"prompt_tokens", prompt.tokens.size()},
                          {"output_tokens", out.tokens.size()},
                          {"truncated", out.truncated},
                          {"time_to_first_token", out.first_token_seconds},
                          {"seconds", out.seconds}});
  fmt::print("{}\n", answer);
  for (size_t i = 0; i < prompt.passages.size(); ++i)
    fmt::print("{} {}\n", i == 0 ? "passages:" : "         ", prompt.passages[i]);
  if (prompt.nothing_found) fmt::print("passages: none found\n");
  fmt::print(stderr, "{}, first token after {}, all after {}\n", arm.name, FormatSeconds(out.first_token_seconds),
             FormatSeconds(out.seconds));
}

void MakeIndex(const Options& options, const GlobalFlags& flags) {
  Workspace workspace(LoadConfig(options.config), {}, flags.threads, true);
  if (workspace.CurrentDocuments().empty())
    Fail(ErrorKind::kUsage, "{}: names no data.documents to index", options.config.string());
  IndexReport report;
  const std::unique_ptr<Index> index = OpenIndex(workspace, true, &report);
  const std::string path = (workspace.config.output / "index.db").string();
  if (flags.json)
    return PrintJson(Json{{"index", path},
                          {"pages", index->pages()},
                          {"chunks", index->chunks()},
                          {"content_hash", index->content_hash()},
                          {"seconds", report.seconds}});
  fmt::print("{}: {} passages of {} pages, in {}\n", path, index->chunks(), index->pages(),
             FormatSeconds(report.seconds));
}

}  // namespace

std::function<void()> AddAskCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("question", options->question, "what to ask")->required();
  app.add_option("--config", options->config, "config.yaml of the experiment")->required();
  app.add_option("--arm", options->arm, "arm of the configuration; the recommended one where not given");
  return [options, &flags] { Ask(*options, flags); };
}

std::function<void()> AddIndexCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("--config", options->config, "config.yaml of the experiment")->required();
  return [options, &flags] { MakeIndex(*options, flags); };
}

}  // namespace qad

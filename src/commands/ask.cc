// qad ask: a question put to one arm of a configuration.
#include <fmt/format.h>

#include <memory>

#include "base/units.h"
#include "commands/answer.h"
#include "commands/command.h"
#include "commands/experiment_options.h"

namespace qad {
namespace {

struct Options {
  std::filesystem::path config;
  std::string arm, question;
};

Json AnswerJson(const std::string& arm, const Reply& answer) {
  return {{"arm", arm},
          {"answer", answer.text},
          {"passages", IdsOf(answer.passages)},
          {"citation", answer.citation.empty() ? Json() : Json(answer.citation)},
          {"prompt_tokens", answer.prompt_tokens},
          {"output_tokens", answer.output_tokens},
          {"truncated", answer.truncated},
          {"time_to_first_token", answer.first_token_seconds},
          {"seconds", answer.seconds}};
}

void PrintAnswer(const std::string& arm, const Reply& answer) {
  fmt::print("{}\n", answer.text);
  for (size_t i = 0; i < answer.passages.size(); ++i)
    fmt::print("{} {}{}\n", i == 0 ? "passages:" : "         ", answer.passages[i].id,
               answer.passages[i].id == answer.citation ? "  (holds the answer)" : "");
  if (answer.nothing_found) {
    fmt::print("passages: none found\n");
    fmt::print(stderr, "{}, refused without running the model\n", arm);
    return;
  }
  fmt::print(stderr, "{}, first token after {}, all after {}\n", arm, FormatSeconds(answer.first_token_seconds),
             FormatSeconds(answer.seconds));
}

void AskCommand(const Options& options, const GlobalFlags& flags) {
  Answerer answerer(options.config, options.arm, flags.threads);
  const Reply answer = answerer.Ask({{"user", options.question}});
  if (flags.json) return PrintJson(AnswerJson(answerer.arm().name, answer));
  PrintAnswer(answerer.arm().name, answer);
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

// qad chat: a conversation with one arm of a configuration, a line at a time.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "base/interrupt.h"
#include "commands/answer.h"
#include "commands/command.h"
#include "commands/experiment_options.h"
#include "text/unicode.h"

namespace qad {
namespace {

struct Options {
  std::filesystem::path config;
  std::string arm;
};

// A conversation that has grown beyond the model's positions loses its oldest turns, and stderr says so.
void ForgetOldest(const Answerer& answerer, std::vector<Message>& messages) {
  const size_t before = messages.size();
  while (messages.size() >= 3 && !answerer.Fits(messages)) messages.erase(messages.begin(), messages.begin() + 2);
  if (messages.size() < before)
    fmt::print(stderr, "! the conversation is longer than the model can see: its oldest turns are gone\n");
}

void ChatCommand(const Options& options, const GlobalFlags& flags) {
  Answerer answerer(options.config, options.arm, flags.threads);
  const bool prompts = ::isatty(STDIN_FILENO) != 0;
  if (prompts) fmt::print(stderr, "{}; an empty line begins anew, Ctrl-D ends\n", answerer.arm().name);
  LetInterruptsEndReads();
  std::vector<Message> messages;
  const auto show = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  for (std::string line; prompts ? (fmt::print(stderr, "> "), true) : true;) {
    const bool read = static_cast<bool>(std::getline(std::cin, line));
    ThrowIfInterrupted();
    if (!read) break;
    if (line.empty()) {
      messages.clear();
      continue;
    }
    line = ReplaceInvalidUtf8(line);
    messages.push_back({"user", line});
    ForgetOldest(answerer, messages);
    const Reply answer = answerer.Ask(messages, flags.json ? std::function<void(std::string_view)>() : show);
    messages.push_back({"assistant", answer.text});
    if (flags.json) {
      fmt::print("{}\n", Json{{"question", line},
                              {"answer", answer.text},
                              {"passages", IdsOf(answer.passages)},
                              {"citation", answer.citation.empty() ? Json() : Json(answer.citation)}}
                             .dump());
      std::fflush(stdout);
      continue;
    }
    fmt::print("\n");
    for (const Passage& passage : answer.passages)
      fmt::print(stderr, "  {}{}\n", passage.id, passage.id == answer.citation ? "  (holds the answer)" : "");
  }
}

}  // namespace

std::function<void()> AddChatCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  AddConfig(app, options->config);
  app.add_option("--arm", options->arm, "arm of the configuration; the recommended one where not given");
  return [options, &flags] { ChatCommand(*options, flags); };
}

}  // namespace qad

// The table of commands, and the only catch.
#include <fmt/format.h>

#include <array>
#include <deque>
#include <new>

#include "base/error.h"
#include "base/interrupt.h"
#include "commands/command.h"

namespace qad {
namespace {

struct Command {
  const char* name;
  const char* help;
  CommandFactory add;
};

constexpr std::array kCommands = {
    Command{"run", "the whole loop, resumable: plan, memory, quantize, train, eval, decide, report", AddRunCommand},
    Command{"memory", "memory math of a model: weights, KV cache, training", AddMemoryCommand},
    Command{"quantize", "write a quantized model", AddQuantizeCommand},
    Command{"train", "train the LoRA adapters of a configuration", AddTrainCommand},
    Command{"eval", "evaluate the arms of a configuration", AddEvalCommand},
    Command{"decide", "apply the rules to existing results", AddDecideCommand},
    Command{"report", "render the pack again from existing results", AddReportCommand},
    Command{"perplexity", "perplexity of a text, and KL divergence from a reference model", AddPerplexityCommand},
    Command{"bench", "prefill and decode speed", AddBenchCommand},
    Command{"generate", "continue a prompt", AddGenerateCommand},
    Command{"inspect", "what is in a model file, folder or adapter", AddInspectCommand},
    Command{"tokenize", "text to token ids", AddTokenizeCommand},
    Command{"index", "index the documents of a configuration", AddIndexCommand},
    Command{"ask", "ask a question with the recommended arm or any other", AddAskCommand},
};

int Run(int argc, char** argv) {
  CLI::App app{"qad: quantize, adapt, decide — evidence for putting an open-weights model to work", "qad"};
  app.set_version_flag("--version", "qad " QAD_VERSION);
  app.require_subcommand(1);
  std::deque<GlobalFlags> flags;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    GlobalFlags& own = flags.emplace_back();
    sub->add_flag("--json", own.json, "one JSON document on stdout");
    sub->add_option("--threads", own.threads, "threads (0: all cores)")->check(CLI::Range(0, 1024));
    sub->final_callback(command.add(*sub, own));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorKind::kUsage);  // CLI11's own codes are 100 … 127
  }
  return 0;
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  qad::CatchInterrupts();
  try {
    return qad::Run(argc, argv);
  } catch (const qad::Error& error) {
    fmt::print(stderr, "qad: {}\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "qad: out of memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "qad: {}\n", error.what());
  }
  return static_cast<int>(qad::ErrorKind::kFailed);
}

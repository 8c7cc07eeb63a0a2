// The table of commands, and the only catch.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/suggest.h"
#include "commands/command.h"

namespace qad {
namespace {

struct Command {
  const char* name;
  const char* help;
  CommandFactory add;
  bool computes = true;  // with many threads
};

constexpr std::array kCommands = {
    Command{"init", "begin a project: a configuration and example data", AddInitCommand, false},
    Command{"run", "the whole loop, resumable: memory, train, quantize, eval, decide, report", AddRunCommand},
    Command{"memory", "memory math of a model: weights, KV cache, training", AddMemoryCommand, false},
    Command{"quantize", "write a quantized model", AddQuantizeCommand},
    Command{"train", "train the LoRA adapters of a configuration", AddTrainCommand},
    Command{"eval", "evaluate the arms of a configuration", AddEvalCommand},
    Command{"decide", "apply the rules to existing results", AddDecideCommand, false},
    Command{"compare", "the paired difference of two arms, from existing results", AddCompareCommand, false},
    Command{"report", "render the pack again from existing results", AddReportCommand, false},
    Command{"perplexity", "perplexity of a text, and KL divergence from a reference model", AddPerplexityCommand},
    Command{"bench", "prefill and decode speed", AddBenchCommand},
    Command{"generate", "continue a prompt", AddGenerateCommand},
    Command{"merge", "write a model with a LoRA adapter in its weights", AddMergeCommand},
    Command{"convert", "a LoRA adapter as a PEFT folder or as llama.cpp's GGUF", AddConvertCommand},
    Command{"inspect", "what is in a model file, folder or adapter", AddInspectCommand, false},
    Command{"tokenize", "text to token ids", AddTokenizeCommand, false},
    Command{"index", "index the documents of a configuration", AddIndexCommand},
    Command{"ask", "ask a question with the recommended arm or any other", AddAskCommand},
    Command{"chat", "talk with the recommended arm or any other, line by line", AddChatCommand},
};

// glibc raises the size from which on it asks the system for a block, and gives it back when it is freed, to that of
// the largest block ever freed, up to 32 MiB: what stages leave behind would stay with the process, in pieces.
void ReturnLargeBlocks() {
  constexpr int kFrom = 1 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kFrom);
}

// Threads that wait for each other spin before they sleep. By libgomp's default that is for so long that a single other
// program on the machine makes inference a hundred times slower; the environment is read before main, so the program
// starts itself again with a shorter spin where it will compute.
void ShortenSpinning(char** argv) {
  const auto is_asked = [&](const Command& command) {
    return argv[1] != nullptr && std::string_view(argv[1]) == command.name;
  };
  const auto asked = std::ranges::find_if(kCommands, is_asked);
  if (asked == kCommands.end() || !asked->computes) return;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) {
    ::prctl(PR_SET_NAME, "qad");  // after the second start it would be "exe"
    return;
  }
  std::error_code none;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", none).filename();
  if (none || self.starts_with("ld-") || ::setenv("GOMP_SPINCOUNT", "2000", 1) != 0) return;  // a loader's own name
  ::execv("/proc/self/exe", argv);  // comes back only where it fails, and then all works, only slower
}

void RequireKnown(const std::string& word) {
  std::vector<std::string> known;
  for (const Command& command : kCommands) known.emplace_back(command.name);
  if (word.starts_with("-") || std::ranges::find(known, word) != known.end()) return;
  Fail(ErrorKind::kUsage, "unknown command '{}'{}; qad --help lists them", word, Suggestion(word, known));
}

// CLI11 asks for what is missing before it names what it does not know; a misspelt option is both.
[[noreturn]] void FailToParse(const CLI::App& app, const CLI::ParseError& error) {
  std::string command;
  for (const CLI::App* sub : app.get_subcommands()) {
    std::vector<std::string> known;
    for (const CLI::Option* option : sub->get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    for (const std::string& word : sub->remaining()) {
      const std::string option = word.substr(0, word.find('='));
      if (option.starts_with("-"))
        Fail(ErrorKind::kUsage, "{}: unknown option{}; qad {} --help lists them", option, Suggestion(option, known),
             sub->get_name());
    }
    command = sub->get_name() + " ";
  }
  Fail(ErrorKind::kUsage, "{}; qad {}--help lists what there is", error.what(), command);
}

// What stdout still holds back may not fit on the disk.
void Flush() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw std::system_error(errno == 0 ? EIO : errno, std::generic_category(), "standard output");
}

int Run(int argc, char** argv) {
  if (argc > 1) RequireKnown(argv[1]);
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
    if (error.get_exit_code() != 0) FailToParse(app, error);
    app.exit(error);  // help, or the version
  }
  Flush();
  return 0;
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  qad::ShortenSpinning(argv);
  qad::ReturnLargeBlocks();
  qad::CatchInterrupts();
  try {
    return qad::Run(argc, argv);
  } catch (const qad::Error& error) {
    fmt::print(stderr, "qad: {}\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "qad: out of memory\n");
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::broken_pipe) fmt::print(stderr, "qad: {}\n", error.what());  // `| head` has enough
  } catch (const std::exception& error) {
    fmt::print(stderr, "qad: {}\n", error.what());
  }
  return static_cast<int>(qad::ErrorKind::kFailed);
}

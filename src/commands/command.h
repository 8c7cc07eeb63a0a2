// A subcommand: one file defines a function that adds its flags to a CLI11 app and returns what to run. The table is in
// main.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace qad {

// Flags that every command takes.
struct GlobalFlags {
  bool json = false;  // one JSON document on stdout, everything else on stderr
  int threads = 0;    // 0: all cores
};

// Adds options to `app` (already named) and returns the action, which prints data on stdout. It may throw Error.
using CommandFactory = std::function<void()> (*)(CLI::App& app, const GlobalFlags& flags);

// `--adapter PATH[=WEIGHT]`, as often as there are adapters (adapt/adapter_set.h).
void AddAdapterOption(CLI::App& app, std::vector<std::string>& adapters);

// One JSON document and a final newline on stdout.
void PrintJson(const Json& json);
void PrintJson(const OrderedJson& json);

std::function<void()> AddInitCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddMemoryCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddInspectCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddTokenizeCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddConvertCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddMergeCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddGenerateCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddPerplexityCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddBenchCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddQuantizeCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddRunCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddTrainCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddEvalCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddDecideCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddReportCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddIndexCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddCompareCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddAskCommand(CLI::App& app, const GlobalFlags& flags);
std::function<void()> AddChatCommand(CLI::App& app, const GlobalFlags& flags);

}  // namespace qad

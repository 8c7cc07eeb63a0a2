// What the commands on a configuration share: their flags, and the run that decide and report read.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "experiment/config.h"
#include "experiment/workspace.h"

namespace qad {

struct ExperimentOptions {
  std::filesystem::path config;
  Scope scope;
};

// --config, which every one of them needs.
void AddConfig(CLI::App& app, std::filesystem::path& config);

// --config, --max-train-samples, --max-eval-samples, --seeds.
void AddExperiment(CLI::App& app, ExperimentOptions& options);

// --allow-leak.
void AddAllowLeak(CLI::App& app, ExperimentOptions& options);

// The folder of the full run's results, else with `allow_partial` that of the partial one's. Errors: kInput where there
// are none, kUsage where only partial ones are there and not allowed.
std::filesystem::path ResultsRoot(const Config& config, bool allow_partial);

Json PathsJson(const std::vector<std::filesystem::path>& paths);

}  // namespace qad

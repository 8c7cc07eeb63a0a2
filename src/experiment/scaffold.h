// The beginning of a project: a configuration and small data files that run as they are, to be replaced.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace qad {

// Writes config.yaml, data/train.jsonl, data/dev.jsonl, data/eval.jsonl and data/documents/ into the folder, which is
// made where it is missing; returns what was written. Errors (kUsage): one of them is there already, and then nothing
// is written; kFailed: disk.
std::vector<std::filesystem::path> WriteScaffold(const std::filesystem::path& folder, const std::string& model);

}  // namespace qad

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

// What a project of one's own begins with.
struct ProjectData {
  std::filesystem::path dataset;    // JSON lines
  std::filesystem::path documents;  // a folder or file that RAG looks up; empty for none
};
// The same around a dataset: its lines, unchanged, cut by SplitItems, and a configuration with arms, comparisons and
// floors for its slices. Documents stay where they are. Errors: as WriteScaffold, LoadDataset, SplitItems; kInput: no
// such documents.
std::vector<std::filesystem::path> WriteScaffold(const std::filesystem::path& folder, const std::string& model,
                                                 const ProjectData& data);

}  // namespace qad

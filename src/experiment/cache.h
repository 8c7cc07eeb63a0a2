// Finished stages, by the hash of all that went into them: what is there is not done again.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "results/results.h"

namespace qad {

class StageCache {
 public:
  explicit StageCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // The stored results of a stage, where it was made from these inputs and the files it wrote are still as they were.
  // An entry that is damaged counts as missing.
  std::optional<Results> Find(const std::string& stage, const Json& inputs) const;
  // The stored results, or those of `work`, stored with the hashes of the files it wrote.
  Results Get(const std::string& stage, const Json& inputs, const std::vector<std::filesystem::path>& outputs,
              const std::function<Results()>& work) const;

 private:
  std::filesystem::path PathOf(const std::string& stage) const;
  std::filesystem::path folder_;
};

// Rows, curves, fronts, comparisons and arms of `more` behind those of `all`.
void Append(Results& all, const Results& more);

}  // namespace qad

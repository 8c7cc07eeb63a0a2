// What evaluation of an arm has answered so far, batch by batch: after an interruption or a kill it goes on behind the
// last batch that was written.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "results/results.h"

namespace qad {

class BatchStore {
 public:
  // Batches of an earlier run are found where `inputs` are the same; others are removed. Damaged ones, and what follows
  // them, count as missing.
  BatchStore(std::filesystem::path folder, const Json& inputs);

  struct Done {
    size_t items = 0;           // from the front, those that were skipped among them
    int64_t skipped = 0;        // did not fit
    int64_t doubtful = 0;       // an endpoint's counts of their tokens cannot be true
    int64_t missing_usage = 0;  // an endpoint says nothing of their tokens
    double seconds = 0;         // over all runs
  };
  const Done& done() const { return done_; }
  std::vector<Sample> TakeSamples() { return std::move(found_); }  // of the batches that were found

  // Synced to disk before it returns. Errors: kFailed.
  void Add(const std::vector<Sample>& samples, const Done& done);
  // When all is written elsewhere.
  void Remove();

 private:
  std::filesystem::path PathOf(size_t batch) const;
  bool ReadBatch(const std::filesystem::path& path, const std::string& hash);

  std::filesystem::path folder_;
  std::string hash_;
  size_t batches_ = 0;
  Done done_;
  std::vector<Sample> found_;
};

}  // namespace qad

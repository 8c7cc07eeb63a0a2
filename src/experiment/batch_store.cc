#include "experiment/batch_store.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"

namespace qad {
namespace fs = std::filesystem;

BatchStore::BatchStore(fs::path folder, const Json& inputs)
    : folder_(std::move(folder)), hash_(Sha256(DumpJson(inputs, -1))) {
  while (fs::exists(PathOf(batches_)) && ReadBatch(PathOf(batches_), hash_)) ++batches_;
  // What lies behind a damaged one would be taken for a sequel of what is written in its place.
  std::vector<fs::path> behind;
  if (fs::exists(folder_))
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
      if (entry.path() >= PathOf(batches_)) behind.push_back(entry.path());
  for (const fs::path& path : behind) fs::remove(path);
  if (batches_ == 0) Remove();
}

fs::path BatchStore::PathOf(size_t batch) const { return folder_ / fmt::format("{:06}.json", batch); }

bool BatchStore::ReadBatch(const fs::path& path, const std::string& hash) {
  try {
    const Json root = ReadJsonFile(path);
    const JsonObject json(root, path.string());
    if (json.String("inputs_hash") != hash) return false;
    std::vector<Sample> samples = SamplesFromJson(json, "samples");
    done_ = {.items = static_cast<size_t>(json.Int("items", 0, int64_t{1} << 53)),
             .skipped = json.Int("skipped", 0, int64_t{1} << 53),
             .doubtful = json.Int("doubtful", 0, int64_t{1} << 53),
             .missing_usage = json.Int("missing_usage", 0, int64_t{1} << 53),
             .seconds = json.Number("seconds", 0, 1e12)};
    found_.insert(found_.end(), std::make_move_iterator(samples.begin()), std::make_move_iterator(samples.end()));
    return true;
  } catch (const Error&) {
    return false;
  }
}

void BatchStore::Add(const std::vector<Sample>& samples, const Done& done) {
  MakeFolders(folder_);
  WriteFileAtomic(PathOf(batches_), DumpJson(Json{{"inputs_hash", hash_},
                                                  {"items", done.items},
                                                  {"skipped", done.skipped},
                                                  {"doubtful", done.doubtful},
                                                  {"missing_usage", done.missing_usage},
                                                  {"seconds", done.seconds},
                                                  {"samples", SamplesToJson(samples)}},
                                             -1));
  ++batches_;
  done_ = done;
}

void BatchStore::Remove() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace qad

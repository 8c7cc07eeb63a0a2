#include "experiment/declared.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/json.h"
#include "results/json_fields.h"
#include "results/results.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Record {
  std::string better, than, slice, metric;
  bool beforehand = false;
};

struct File {
  std::vector<Record> comparisons;
  std::map<std::string, double> floors;
  double margin = 0, confidence = 0;
};

template <typename Visitor>
void Fields(Visitor& visit, Record& record) {
  visit("better", record.better);
  visit("than", record.than);
  visit("slice", record.slice);
  visit("metric", record.metric);
  visit("beforehand", record.beforehand);
}

template <typename Visitor>
void Fields(Visitor& visit, File& file) {
  visit("comparisons", file.comparisons);
  visit("floors", file.floors);
  visit("margin", file.margin);
  visit("confidence", file.confidence);
}

bool IsSame(const Record& record, const ComparisonConfig& comparison) {
  return record.better == comparison.better && record.than == comparison.than && record.slice == comparison.slice &&
         record.metric == comparison.metric;
}

bool HasSamples(const fs::path& root, const std::string& arm) {
  return fs::exists(root / "samples" / SamplesFileName(arm));
}

bool AreAnswered(const fs::path& root, const Record& record) {
  return HasSamples(root, record.better) && HasSamples(root, record.than);
}

File Read(const fs::path& path) {
  File file;
  FieldReader::Read(ReadJsonFile(path), path.string(), file);
  return file;
}

// Of results that were made before there was such a file.
File Import(const fs::path& results, const Config& config) {
  File file{.comparisons = {},
            .floors = config.decide.required,
            .margin = config.eval.margin,
            .confidence = config.eval.confidence};
  for (const Comparison& c : ReadResults(results).comparisons)
    if (c.declared) file.comparisons.push_back({c.better, c.than, c.slice, c.metric, true});
  return file;
}

// What is kept, and what is new.
File Gather(const fs::path& root, const Config& config) {
  const fs::path path = root / "declared.json", results = root / "results.json";
  File file = fs::exists(path) ? Read(path) : fs::exists(results) ? Import(results, config) : File();
  if (std::ranges::none_of(config.arms, [&](const ArmConfig& arm) { return HasSamples(root, arm.name); })) {
    file.floors = config.decide.required;
    file.margin = config.eval.margin;
    file.confidence = config.eval.confidence;
  }
  for (const ComparisonConfig& c : config.comparisons) {
    if (std::ranges::any_of(file.comparisons, [&](const Record& record) { return IsSame(record, c); })) continue;
    Record added{c.better, c.than, c.slice, c.metric, false};
    added.beforehand = !AreAnswered(root, added);
    file.comparisons.push_back(std::move(added));
  }
  return file;
}

}  // namespace

Declared DeclareBeforehand(const fs::path& root, const Config& config) {
  const File file = Gather(root, config);
  Declared declared{
      .beforehand = {}, .withdrawn = {}, .floors = file.floors, .margin = file.margin, .confidence = file.confidence};
  for (const ComparisonConfig& c : config.comparisons)
    declared.beforehand.push_back(
        std::ranges::find_if(file.comparisons, [&](const Record& r) { return IsSame(r, c); })->beforehand);
  for (const Record& record : file.comparisons) {
    const bool kept =
        std::ranges::any_of(config.comparisons, [&](const ComparisonConfig& c) { return IsSame(record, c); });
    if (record.beforehand && !kept && AreAnswered(root, record))
      declared.withdrawn.push_back(
          fmt::format("{} − {} on {} ({})", record.better, record.than, record.slice, record.metric));
  }
  return declared;
}

void KeepDeclared(const fs::path& root, const Config& config) {
  File file = Gather(root, config);
  WriteFileAtomic(root / "declared.json", DumpJson(FieldWriter::Value(file), 1));
}

}  // namespace qad

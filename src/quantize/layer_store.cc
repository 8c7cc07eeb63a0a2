#include "quantize/layer_store.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/files.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

bool IsOurs(const fs::path& key_file) {
  try {
    const Json key = ReadJsonFile(key_file);
    return key.is_object() && key.value("made by", "").starts_with("qad ");
  } catch (const Error&) {
    return false;
  }
}

// The names in which two keys differ.
std::string Difference(const Json& before, const Json& now) {
  std::string names;
  const auto add = [&](const std::string& name) { names += (names.empty() ? "" : ", ") + name; };
  for (const auto& [name, value] : now.items())
    if (!before.contains(name) || before[name] != value) add(name);
  for (const auto& [name, value] : before.items())
    if (!now.contains(name)) add(name);
  return names;
}

}  // namespace

LayerStore::LayerStore(const fs::path& output, const Json& key)
    : folder_((output.has_filename() ? output : output.parent_path()).string() + ".layers") {
  const fs::path key_file = folder_ / "key.json";
  const std::string text = DumpJson(key);
  if (fs::exists(folder_)) {
    if (fs::exists(key_file) ? !IsOurs(key_file) : !fs::is_empty(folder_))
      Fail(ErrorKind::kUsage, "{}: is where unfinished layers go, and holds something else; move it away",
           folder_.string());
    if (!fs::exists(key_file)) {
      Remove();
    } else if (ReadTextFile(key_file) != text) {
      fmt::print(stderr, "! {}: unfinished layers were made with another {}; begun afresh\n", folder_.string(),
                 Difference(ReadJsonFile(key_file), key));
      Remove();
    }
  }
  MakeFolders(folder_);
  if (!fs::exists(key_file)) WriteFileAtomic(key_file, text);
  while (fs::exists(PathOf(done_))) {
    try {  // a damaged layer is made again
      const SafetensorsFile file(PathOf(done_));
      const auto found = file.metadata().find("summary");
      if (found == file.metadata().end()) break;
      summaries_.push_back(ParseJson(found->second, PathOf(done_).string()));
    } catch (const Error&) {
      break;
    }
    ++done_;
  }
}

std::vector<double> LayerStore::Changes() const {
  std::vector<double> changes;
  for (const Json& summary : summaries_)
    if (const double size = summary.value("size", 0.0); size > 0)
      changes.push_back(std::sqrt(summary.value("change", 0.0) / size));
  return changes;
}

fs::path LayerStore::PathOf(size_t layer) const { return folder_ / fmt::format("layer-{}.safetensors", layer); }

std::unique_ptr<SafetensorsFile> LayerStore::Open(size_t layer) const {
  QAD_CHECK(layer < done_);
  return std::make_unique<SafetensorsFile>(PathOf(layer));
}

void LayerStore::Save(size_t layer, std::vector<TensorToWrite> tensors, const Json& summary) {
  QAD_CHECK(layer == done_);
  WriteSafetensors(PathOf(layer), std::move(tensors), {{"summary", summary.dump()}});
  summaries_.push_back(summary);
  ++done_;
}

void LayerStore::Finish() {
  try {
    Remove();
  } catch (const Error& error) {
    fmt::print(stderr, "! {}\n", error.what());
  }
}

void LayerStore::Remove() {
  std::error_code error;
  fs::remove_all(folder_, error);
  if (error) Fail(ErrorKind::kFailed, "{}: cannot be removed: {}", folder_.string(), error.message());
}

}  // namespace qad

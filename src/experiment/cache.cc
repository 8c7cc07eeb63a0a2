#include "experiment/cache.h"

#include <chrono>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"

namespace qad {
namespace {

std::string HashOf(const Json& inputs) { return Sha256(DumpJson(inputs, -1)); }

// Outputs are named from the cache's folder, wherever it lies and however it is reached.
std::string NameOf(const std::filesystem::path& output, const std::filesystem::path& folder) {
  return std::filesystem::absolute(output).lexically_normal().lexically_relative(
      std::filesystem::absolute(folder).lexically_normal());
}

bool OutputsStand(const JsonObject& outputs, const std::filesystem::path& folder) {
  for (const auto& [name, hash] : outputs.json().items())
    if (!std::filesystem::exists(folder / name) || Sha256File(folder / name) != outputs.String(name)) return false;
  return true;
}

}  // namespace

std::filesystem::path StageCache::PathOf(const std::string& stage) const {
  std::filesystem::path name = SamplesFileName(stage);
  return folder_ / name.replace_extension(".json");
}

std::optional<Results> StageCache::Find(const std::string& stage, const Json& inputs) const {
  const std::filesystem::path path = PathOf(stage);
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    Results stored = ReadResults(path);
    const JsonObject manifest(stored.manifest, path.string());
    if (manifest.String("inputs_hash") == HashOf(inputs) && OutputsStand(manifest.Object("outputs"), folder_))
      return stored;
  } catch (const Error&) {
    // A damaged entry is made again; nothing else depends on it.
  }
  return std::nullopt;
}

Results StageCache::Get(const std::string& stage, const Json& inputs, const std::vector<std::filesystem::path>& outputs,
                        const std::function<Results()>& work) const {
  if (std::optional<Results> stored = Find(stage, inputs)) return *std::move(stored);
  const auto start = std::chrono::steady_clock::now();
  Results made = work();
  made.manifest["stage"] = stage;
  made.manifest["inputs"] = inputs;
  made.manifest["inputs_hash"] = HashOf(inputs);
  made.manifest["outputs"] = Json::object();
  for (const std::filesystem::path& output : outputs)
    made.manifest["outputs"][NameOf(output, folder_)] = Sha256File(output);
  made.manifest["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MakeFolders(folder_);
  WriteResults(PathOf(stage), made);
  return made;
}

void Append(Results& all, const Results& more) {
  all.arms.insert(all.arms.end(), more.arms.begin(), more.arms.end());
  all.rows.insert(all.rows.end(), more.rows.begin(), more.rows.end());
  all.comparisons.insert(all.comparisons.end(), more.comparisons.begin(), more.comparisons.end());
  all.curves.insert(all.curves.end(), more.curves.begin(), more.curves.end());
  all.fronts.insert(all.fronts.end(), more.fronts.begin(), more.fronts.end());
  all.forms.insert(all.forms.end(), more.forms.begin(), more.forms.end());
}

}  // namespace qad

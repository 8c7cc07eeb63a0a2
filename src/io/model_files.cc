#include "io/model_files.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path Home() { return Environment("HOME").empty() ? fs::path("/") : fs::path(Environment("HOME")); }

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool IsFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

fs::path HubFolder() {
  if (const std::string set = Environment("HF_HUB_CACHE"); !set.empty()) return set;
  if (const std::string set = Environment("HF_HOME"); !set.empty()) return fs::path(set) / "hub";
  if (const std::string set = Environment("XDG_CACHE_HOME"); !set.empty()) return fs::path(set) / "huggingface" / "hub";
  return Home() / ".cache" / "huggingface" / "hub";
}

// org/name → models--org--name/snapshots/REV, REV from refs/main or the only snapshot there is. Empty where absent.
fs::path FindInHub(const std::string& model) {
  std::string folder = "models--" + model;
  if (const size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
  const fs::path root = HubFolder() / folder;
  if (IsFile(root / "refs" / "main")) {
    std::string revision = ReadTextFile(root / "refs" / "main", 256);
    while (!revision.empty() && (revision.back() == '\n' || revision.back() == ' ')) revision.pop_back();
    const bool plain = !revision.empty() && revision.find_first_of("/\\") == std::string::npos && revision != "..";
    if (plain && IsFolder(root / "snapshots" / revision)) return root / "snapshots" / revision;
  }
  std::error_code ignored;
  std::vector<fs::path> snapshots;
  for (const auto& entry : fs::directory_iterator(root / "snapshots", ignored)) snapshots.push_back(entry.path());
  return snapshots.size() == 1 ? snapshots.front() : fs::path();
}

bool LooksLikeHubId(const std::string& model) {
  return std::ranges::count(model, '/') == 1 && !model.starts_with('/') && !model.ends_with('/') &&
         !model.starts_with('.');
}

// The shard names of an index, each a bare file name.
std::map<std::string, std::string> ReadIndex(const fs::path& path) {
  const Json json = ReadJsonFile(path);
  const JsonObject root(json, path.string());
  const JsonObject map = root.Object("weight_map");
  std::map<std::string, std::string> shards;
  for (const auto& [name, value] : map.json().items()) {
    if (!value.is_string()) FailInput("{}: weight_map \"{}\" must be a file name", path.string(), name);
    const auto file = value.get<std::string>();
    if (file.empty() || file.find_first_of("/\\") != std::string::npos || file == "." || file == "..")
      FailInput("{}: weight_map \"{}\" points to \"{}\"; only bare file names are allowed", path.string(), name, file);
    shards[name] = file;
  }
  if (shards.empty()) FailInput("{}: weight_map is empty", path.string());
  return shards;
}

[[noreturn]] void NoWeights(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto extension = entry.path().extension();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
      FailInput(
          "{}: holds only pickled weights ({}), which are programs and are not read; convert them with "
          "transformers: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)",
          folder.string(), entry.path().filename().string());
  }
  FailInput("{}: no model.safetensors and no model.safetensors.index.json", folder.string());
}

void OpenFolder(ModelFiles& files) {
  const fs::path& folder = files.path;
  if (!IsFile(folder / "config.json"))
    FailInput("{}: config.json is missing; is this a model's folder?", folder.string());
  const fs::path index = folder / "model.safetensors.index.json", single = folder / "model.safetensors";
  if (!IsFile(index)) {
    if (!IsFile(single)) NoWeights(folder);
    files.shards.push_back(std::make_unique<SafetensorsFile>(single));
    for (const auto& [name, entry] : files.shards.front()->tensors()) files.shard_of[name] = files.shards.front().get();
    return;
  }
  const auto map = ReadIndex(index);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map) names.insert(shard);
  std::string missing;
  for (const std::string& name : names)
    if (!IsFile(folder / name)) missing += (missing.empty() ? "" : ", ") + name;
  if (!missing.empty()) FailInput("{}: shards are missing: {}; fetch the model again", folder.string(), missing);
  std::map<std::string, const SafetensorsFile*> opened;
  for (const std::string& name : names) {
    files.shards.push_back(std::make_unique<SafetensorsFile>(folder / name));
    opened[name] = files.shards.back().get();
  }
  for (const auto& [tensor, shard] : map) {
    if (!opened[shard]->tensors().contains(tensor))
      FailInput("{}: places tensor \"{}\" in {}, which does not hold it", index.string(), tensor, shard);
    files.shard_of[tensor] = opened[shard];
  }
}

}  // namespace

fs::path CacheFolder() {
  const std::string set = Environment("QAD_CACHE");
  return set.empty() ? Home() / ".cache" / "qad" : fs::path(set);
}

fs::path ResolveModel(const std::string& model) {
  if (model.empty()) FailInput("no model was named");
  if (IsFile(model) || IsFolder(model)) return model;
  const fs::path cached = CacheFolder() / "models" / model;
  fs::path cached_file = cached;
  cached_file += ".gguf";
  if (IsFolder(cached)) return cached;
  if (IsFile(cached_file)) return cached_file;
  std::string looked = fmt::format("{}, {}, {}", model, cached.string(), cached_file.string());
  if (LooksLikeHubId(model)) {
    if (const fs::path found = FindInHub(model); !found.empty()) return found;
    looked += fmt::format(", {} (hub cache)", HubFolder().string());
  }
  FailInput("{}: no such model; looked at {}. `scripts/fetch-model` fetches the demonstration model", model, looked);
}

const SafetensorsEntry* ModelFiles::Find(const std::string& name) const {
  const auto found = shard_of.find(name);
  return found == shard_of.end() ? nullptr : &found->second->tensors().at(name);
}

void ModelFiles::DropPages() const {
  if (gguf != nullptr) gguf->file().DropPages();
  for (const auto& shard : shards) shard->file().DropPages();
}

std::string ModelFiles::Hash() const {
  if (gguf != nullptr) return Sha256File(gguf->file());
  std::string all = Sha256File(path / "config.json");
  for (const auto& shard : shards) all += shard->path().filename().string() + Sha256File(shard->file());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    if (IsFile(path / name)) all += Sha256File(path / name);
  return Sha256(all);
}

ModelFiles OpenModel(const fs::path& resolved, ModelParts parts) {
  ModelFiles files;
  files.path = resolved;
  if (IsFolder(resolved)) {
    OpenFolder(files);
  } else {
    const auto extension = resolved.extension();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
      FailInput("{}: pickles are programs and are not read; convert the model to safetensors", resolved.string());
    files.gguf = std::make_unique<GgufFile>(
        resolved, parts == ModelParts::kHeaders ? GgufFile::Read::kHeader : GgufFile::Read::kWhole);
  }
  return files;
}

}  // namespace qad

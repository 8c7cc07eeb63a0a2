// Where a model is: a folder, a .gguf file, a hub id in the local hub cache, or a name in qad's own cache.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "io/safetensors.h"

namespace qad {

// Resolves what the user wrote to an existing folder or .gguf file. In this order: an existing path; a name in
// $QAD_CACHE or ~/.cache/qad/models (folder NAME or NAME.gguf); org/name in the hub cache (HF_HUB_CACHE, HF_HOME/hub,
// XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub; refs/main, snapshots/REV, symlinks into blobs/ allowed).
// Errors (kInput): says every place looked at, and for a folder with only .bin/.pt files that pickles are not read and
// how to convert.
std::filesystem::path ResolveModel(const std::string& model);

// qad's own cache folder: $QAD_CACHE, or ~/.cache/qad.
std::filesystem::path CacheFolder();

// The files of one model, opened: either a GGUF or a folder with config.json and safetensors shards.
struct ModelFiles {
  std::filesystem::path path;                              // as resolved
  std::unique_ptr<GgufFile> gguf;                          // set for GGUF …
  std::vector<std::unique_ptr<SafetensorsFile>> shards;    // … or these for a folder
  std::map<std::string, const SafetensorsFile*> shard_of;  // tensor name → shard

  const SafetensorsEntry* Find(const std::string& name) const;  // null where missing; folders only
  void DropPages() const;
  bool complete() const { return gguf == nullptr || gguf->complete(); }
  // SHA-256 over the weight files' own hashes (and config.json), in name order.
  std::string Hash() const;
};

// kHeaders: a GGUF file may end behind its header, for arithmetic.
enum class ModelParts : uint8_t { kWhole, kHeaders };

// Errors (kInput): missing config.json, index with a path in it ("/" or ".."), missing shards (named), a tensor that
// the index places in a shard that does not hold it.
ModelFiles OpenModel(const std::filesystem::path& resolved, ModelParts parts = ModelParts::kWhole);

}  // namespace qad

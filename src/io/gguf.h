// GGUF v2/v3 (little-endian). Spec: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/files.h"
#include "formats/format.h"

namespace qad {

// Arrays of one scalar kind are stored flat. Integers of all widths are widened.
using GgufValue = std::variant<int64_t, uint64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  uint32_t type;  // GGML type number; `format` is null where this build cannot decode it
  const Format* format;
  std::vector<int64_t> shape;  // outermost first (rows, cols): the reverse of the file's ne[]
  std::span<const std::byte> bytes;
  uint64_t offset = 0;  // from the start of the file
};

// A key's value as it lies in the file, its type before it.
struct GgufKey {
  std::string name;
  std::span<const std::byte> value;
};

// One mapped file, checked whole before anything is handed out: each declared count and length against the bytes that
// remain *before* allocation, alignment a power of two, no duplicate or empty keys, no duplicate tensors, ≤ 4 dims,
// products with overflow checks, tensors inside the file, aligned, without overlaps. Errors (kInput): file, field,
// offset.
class GgufFile {
 public:
  // kHeader: tensors need not lie inside the file, which may have been cut behind its header; such have no bytes.
  enum class Read : uint8_t { kWhole, kHeader };
  explicit GgufFile(const std::filesystem::path& path, Read read = Read::kWhole);
  bool complete() const { return complete_; }  // whether all tensors have their bytes

  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }
  const std::vector<GgufKey>& keys() const { return keys_; }           // in file order
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // likewise
  const GgufTensor* Find(std::string_view name) const;

  bool Has(const std::string& key) const { return metadata_.contains(key); }
  // Typed getters; errors (kInput) where the key is missing, of another type or out of range.
  int64_t Int(const std::string& key, int64_t low, int64_t high) const;
  int64_t IntOr(const std::string& key, int64_t low, int64_t high, int64_t otherwise) const;
  double NumberOr(const std::string& key, double otherwise) const;
  bool BoolOr(const std::string& key, bool otherwise) const;
  std::string String(const std::string& key) const;
  std::string StringOr(const std::string& key, const std::string& otherwise) const;
  const std::vector<std::string>& Strings(const std::string& key) const;
  std::vector<int64_t> Ints(const std::string& key) const;

  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  uint32_t version_ = 0;
  bool complete_ = true;
  std::map<std::string, GgufValue> metadata_;
  std::vector<GgufKey> keys_;
  std::vector<GgufTensor> tensors_;
};

// The name of a GGML type number ("Q4_K"), known to this build or not; "type 99" where nobody knows it.
std::string GgufTypeName(uint32_t type);

}  // namespace qad

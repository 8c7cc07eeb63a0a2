// Writes GGUF v3 files (little-endian). Spec: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "io/gguf.h"

namespace qad {

// Keys with their values, in the order in which they are first set; setting one again replaces it.
class GgufMetadata {
 public:
  void SetString(std::string_view key, std::string_view value);
  void SetU32(std::string_view key, uint32_t value);
  void SetF32(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetStrings(std::string_view key, std::span<const std::string> values);
  void SetI32s(std::string_view key, std::span<const int32_t> values);
  void SetF32s(std::string_view key, std::span<const float> values);
  // All keys of a file, byte by byte: with the types their writer chose.
  void Copy(const GgufFile& file);
  void Remove(std::string_view key);

  uint64_t size() const { return entries_.size(); }
  std::string Bytes() const;

 private:
  void Set(std::string_view key, std::string entry);
  struct Entry {
    std::string key, value;  // the value with its type before it
  };
  std::vector<Entry> entries_;
};

// Bytes are made when the tensor's turn comes and live until the next one is made.
struct GgufTensorToWrite {
  std::string name;  // at most 63 bytes
  FormatId format;
  std::vector<int64_t> shape;  // outermost first; the last dimension divides into the format's blocks
  std::function<std::span<const std::byte>()> make;
};

// Writes atomically, tensors in the order given, aligned to general.alignment's default of 32 bytes: a key that says
// otherwise must not be in the metadata. Errors (kFailed): disk full …
void WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               const std::vector<GgufTensorToWrite>& tensors);

// The size of the file that WriteGguf would write.
uint64_t GgufBytes(const GgufMetadata& metadata, const std::vector<GgufTensorToWrite>& tensors);

}  // namespace qad

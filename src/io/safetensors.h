// safetensors: u64 little-endian header length, JSON header, data. Spec: huggingface/safetensors README, "Format".
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace qad {

// In the order in which the reference writer lays tensors out.
enum class DType : uint8_t {
  kU64,
  kI64,
  kF64,
  kF32,
  kU32,
  kI32,
  kBF16,
  kF16,
  kU16,
  kI16,
  kF8E4M3,
  kF8E5M2,
  kI8,
  kU8,
  kBool
};

size_t DTypeBytes(DType dtype);
std::string_view DTypeName(DType dtype);  // "F32", "BF16", … as in the header

struct SafetensorsEntry {
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // into the mapped file
  uint64_t offset = 0;               // of the data from the start of the file, for messages

  int64_t Elements() const;
};

// One mapped file. Every rule of the format is checked before a tensor is handed out: header length against the file,
// offsets contiguous without holes or overlaps, shape × dtype = bytes with overflow checks, no duplicate names.
// Errors (kInput) name file, tensor and offset.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::map<std::string, SafetensorsEntry>& tensors() const { return tensors_; }
  const SafetensorsEntry& At(const std::string& name) const;  // error where missing
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  std::map<std::string, SafetensorsEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Elements as f32 (from F64, F32, F16, BF16, and the integer types). Error (kInput) for float8.
std::vector<float> ToFloats(const SafetensorsEntry& entry);

// What is written: bytes that exist, or bytes made when the tensor's turn comes (they must live until the next one is
// made), so that a model need not be held in memory.
struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::function<std::span<const std::byte>()> make = nullptr;
};

// Writes atomically; bytes as the reference writer's: by dtype (as listed above), then name, header padded with spaces
// to 8.
void WriteSafetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace qad

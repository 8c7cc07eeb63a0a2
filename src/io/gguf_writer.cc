#include "io/gguf_writer.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "io/bytes.h"

namespace qad {
namespace {

constexpr uint64_t kAlignment = 32;
constexpr size_t kMostName = 63;
// Value types of the specification.
constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

template <typename T>
std::string Raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::string Text(std::string_view text) { return Raw(static_cast<uint64_t>(text.size())) + std::string(text); }

template <typename T>
std::string Array(uint32_t type, std::span<const T> values) {
  return Raw(kArray) + Raw(type) + Raw(static_cast<uint64_t>(values.size())) +
         std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

uint64_t Aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

uint64_t TensorBytes(const GgufTensorToWrite& tensor) {
  const std::span<const int64_t> outer(tensor.shape.data(), tensor.shape.size() - 1);
  return CheckedProduct(outer, GetFormat(tensor.format).RowBytes(static_cast<size_t>(tensor.shape.back())),
                        tensor.name);
}

void Pad(AtomicFile& file) {
  static constexpr std::byte kZeros[kAlignment] = {};
  file.Write(kZeros, Aligned(file.size()) - file.size());
}

}  // namespace

void GgufMetadata::Set(std::string_view key, std::string value) {
  const auto same = [&](const Entry& entry) { return entry.key == key; };
  if (const auto found = std::ranges::find_if(entries_, same); found != entries_.end())
    found->value = std::move(value);
  else
    entries_.push_back({std::string(key), std::move(value)});
}

void GgufMetadata::SetString(std::string_view key, std::string_view value) { Set(key, Raw(kString) + Text(value)); }
void GgufMetadata::SetU32(std::string_view key, uint32_t value) { Set(key, Raw(kU32) + Raw(value)); }
void GgufMetadata::SetF32(std::string_view key, float value) { Set(key, Raw(kF32) + Raw(value)); }
void GgufMetadata::SetBool(std::string_view key, bool value) { Set(key, Raw(kBool) + Raw(uint8_t{value})); }
void GgufMetadata::SetI32s(std::string_view key, std::span<const int32_t> values) { Set(key, Array(kI32, values)); }
void GgufMetadata::SetF32s(std::string_view key, std::span<const float> values) { Set(key, Array(kF32, values)); }

void GgufMetadata::SetStrings(std::string_view key, std::span<const std::string> values) {
  std::string value = Raw(kArray) + Raw(kString) + Raw(static_cast<uint64_t>(values.size()));
  for (const std::string& text : values) value += Text(text);
  Set(key, std::move(value));
}

void GgufMetadata::Copy(const GgufFile& file) {
  for (const GgufKey& key : file.keys())
    Set(key.name, {reinterpret_cast<const char*>(key.value.data()), key.value.size()});
}

void GgufMetadata::Remove(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
}

std::string GgufMetadata::Bytes() const {
  std::string bytes;
  for (const Entry& entry : entries_) bytes += Text(entry.key) + entry.value;
  return bytes;
}

namespace {

// All before the tensors' data.
std::string Header(const GgufMetadata& metadata, const std::vector<GgufTensorToWrite>& tensors) {
  std::string header =
      "GGUF" + Raw(uint32_t{3}) + Raw(static_cast<uint64_t>(tensors.size())) + Raw(metadata.size()) + metadata.Bytes();
  uint64_t at = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    QAD_CHECK(tensor.name.size() <= kMostName && GetFormat(tensor.format).gguf_type >= 0);
    header += Text(tensor.name) + Raw(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) header += Raw(static_cast<uint64_t>(tensor.shape[i]));
    header += Raw(static_cast<uint32_t>(GetFormat(tensor.format).gguf_type)) + Raw(at);
    at += Aligned(TensorBytes(tensor));
  }
  return header;
}

}  // namespace

uint64_t GgufBytes(const GgufMetadata& metadata, const std::vector<GgufTensorToWrite>& tensors) {
  uint64_t bytes = Aligned(Header(metadata, tensors).size());
  for (const GgufTensorToWrite& tensor : tensors) bytes += Aligned(TensorBytes(tensor));
  return bytes;
}

void WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               const std::vector<GgufTensorToWrite>& tensors) {
  AtomicFile file(path);
  file.Write(Header(metadata, tensors));
  Pad(file);
  for (const GgufTensorToWrite& tensor : tensors) {
    const auto bytes = tensor.make();
    QAD_CHECK(bytes.size() == TensorBytes(tensor));
    file.Write(bytes.data(), bytes.size());
    Pad(file);
  }
  file.Commit();
}

}  // namespace qad

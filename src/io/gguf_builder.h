// Writes GGUF files byte by byte, malformed ones too. For tests only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

// Headers by parts: every count and length can be given falsely.
class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t tensor_count = 0, key_count = 0;  // raised by Tensor and by keys; may be set afterwards
  uint64_t alignment = 32;

  template <typename T>
  static std::string Raw(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof(T)};
  }
  static std::string Text(std::string_view text) { return Raw<uint64_t>(text.size()) + std::string(text); }

  // A key with its value's type number and the value's bytes.
  GgufBuilder& Key(std::string_view key, uint32_t type, const std::string& value) {
    keys_ += Text(key) + Raw(type) + value;
    ++key_count;
    return *this;
  }
  GgufBuilder& String(std::string_view key, std::string_view value) { return Key(key, 8, Text(value)); }
  GgufBuilder& U32(std::string_view key, uint32_t value) { return Key(key, 4, Raw(value)); }

  GgufBuilder& Tensor(std::string_view name, const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset) {
    infos_ += Text(name) + Raw(static_cast<uint32_t>(ne.size()));
    for (const uint64_t n : ne) infos_ += Raw(n);
    infos_ += Raw(type) + Raw(offset);
    ++tensor_count;
    return *this;
  }

  std::string Header() const { return "GGUF" + Raw(version) + Raw(tensor_count) + Raw(key_count) + keys_ + infos_; }
  std::string File(uint64_t data_bytes) const {
    std::string bytes = Header();
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + std::string(data_bytes, '\x01');
  }

 private:
  std::string keys_, infos_;
};

}  // namespace qad

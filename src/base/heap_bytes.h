// What containers take of the heap, for memory that is predicted and summed up: by the blocks of glibc's malloc (8
// bytes before each, whole 16, at least 32) and the nodes of libstdc++.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qad {

inline size_t HeapBlock(size_t bytes) {
  constexpr size_t kHeader = 8, kUnit = 16, kLeast = 32;
  return bytes == 0 ? 0 : std::max(kLeast, (bytes + kHeader + kUnit - 1) / kUnit * kUnit);
}

// Beyond the object itself.
inline size_t HeapBytes(const std::string& text) {
  static const size_t kInside = std::string().capacity();
  return text.capacity() > kInside ? HeapBlock(text.capacity() + 1) : 0;
}

template <typename Value>
size_t HeapBytes(const std::vector<Value>& values) {
  static_assert(std::is_same_v<Value, std::string> || std::is_trivially_copyable_v<Value>);
  size_t bytes = HeapBlock(values.capacity() * sizeof(Value));
  if constexpr (std::is_same_v<Value, std::string>)
    for (const std::string& text : values) bytes += HeapBytes(text);
  return bytes;
}

// A node has a link and the entry, and of a text its hash.
template <typename Key, typename Value, typename... Others>
size_t HeapBytes(const std::unordered_map<Key, Value, Others...>& map) {
  constexpr bool kText = std::is_same_v<Key, std::string>;
  constexpr size_t kNode = sizeof(void*) + sizeof(std::pair<const Key, Value>) + (kText ? sizeof(size_t) : 0);
  size_t bytes = HeapBlock(map.bucket_count() * sizeof(void*)) + map.size() * HeapBlock(kNode);
  if constexpr (kText)
    for (const auto& [text, value] : map) bytes += HeapBytes(text);
  return bytes;
}

}  // namespace qad

// Keys and values of several sequences: (layer, slot, k|v, kv_head, position, head_dim), contiguous per head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "ops/attention.h"

namespace qad {

enum class KvType : uint8_t { kF32, kF16 };

class KvCache {
 public:
  // `capacity` positions for each of `slots` sequences.
  KvCache(const ModelConfig& config, size_t slots, size_t capacity, KvType type = KvType::kF16);

  static size_t Bytes(const ModelConfig& config, size_t slots, size_t capacity, KvType type);

  size_t slots() const { return slots_; }
  size_t capacity() const { return capacity_; }
  size_t allocated_bytes() const { return data_.size(); }

  KvView Keys(size_t layer, size_t slot) const { return View(layer, slot, 0); }
  KvView Values(size_t layer, size_t slot) const { return View(layer, slot, 1); }

  // Writes keys and values of one position; k and v are (kv_heads, head_dim).
  void Write(size_t layer, size_t slot, size_t position, const float* k, const float* v);
  // Positions 0 … count of slot `from` copied to slot `to`: a shared prefix is computed once.
  void CopyPrefix(size_t from, size_t to, size_t count);

 private:
  KvView View(size_t layer, size_t slot, size_t which) const;
  size_t Offset(size_t layer, size_t slot, size_t which, size_t head) const;  // in elements
  size_t layers_, slots_, capacity_, kv_heads_, head_dim_;
  KvType type_;
  size_t element_;
  std::vector<std::byte> data_;
};

}  // namespace qad

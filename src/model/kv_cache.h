// Keys and values of several sequences: (layer, slot, k|v, kv_head, position, head_dim), contiguous per head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/huge_pages.h"
#include "formats/format.h"
#include "model/config.h"
#include "ops/attention.h"

namespace qad {

// Formats that attention reads keys and values of: f32, f16 ("fp16"), bf16, q8_0, q4_0.
// Errors (kUsage): not one of them, or its blocks do not divide the model's heads.
FormatId ParseKvType(const std::string& name, const ModelConfig& config);

// How many sequences of `positions` tokens, `most` at most, fit into `available` bytes with the buffers that go with
// them, beside `shared` further slots of the cache.
size_t SequencesThatFit(const ModelConfig& config, size_t most, size_t positions, FormatId type, uint64_t available,
                        size_t shared = 0);

// Refuses a batch before anything of it is allocated. Errors (kInput): sequences of `positions` tokens and the buffers
// that go with them do not fit into `available` bytes; says how many would.
void RequireRoom(const ModelConfig& config, size_t sequences, size_t positions, FormatId type, uint64_t available);

class KvCache {
 public:
  // `capacity` positions for each of `slots` sequences, in a format that ParseKvType accepts (QAD_CHECKed).
  KvCache(const ModelConfig& config, size_t slots, size_t capacity, FormatId type = FormatId::kF16);

  static size_t Bytes(const ModelConfig& config, size_t slots, size_t capacity, FormatId type);

  size_t slots() const { return slots_; }
  size_t capacity() const { return capacity_; }
  size_t allocated_bytes() const { return bytes_; }

  KvView Keys(size_t layer, size_t slot) const { return View(layer, slot, 0); }
  KvView Values(size_t layer, size_t slot) const { return View(layer, slot, 1); }

  // Writes keys and values of one position; k and v are (kv_heads, head_dim).
  void Write(size_t layer, size_t slot, size_t position, const float* k, const float* v);
  // Positions 0 … count of slot `from` copied to slot `to`: a shared prefix is computed once.
  void CopyPrefix(size_t from, size_t to, size_t count);

 private:
  KvView View(size_t layer, size_t slot, size_t which) const;
  size_t Offset(size_t layer, size_t slot, size_t which, size_t head) const;
  size_t layers_, slots_, capacity_, kv_heads_, head_dim_;
  const Format& format_;
  Layout layout_;
  size_t row_bytes_;  // of one position of one head
  size_t bytes_;
  HugeBytes data_;
};

}  // namespace qad

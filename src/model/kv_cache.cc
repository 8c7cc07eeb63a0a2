#include "model/kv_cache.h"

#include <cstring>

#include "base/error.h"
#include "kernels/matrix.h"

namespace qad {

KvCache::KvCache(const ModelConfig& config, size_t slots, size_t capacity, KvType type)
    : layers_(config.layers),
      slots_(slots),
      capacity_(capacity),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      type_(type),
      element_(type == KvType::kF32 ? 4 : 2),
      data_(Bytes(config, slots, capacity, type)) {}

size_t KvCache::Bytes(const ModelConfig& config, size_t slots, size_t capacity, KvType type) {
  const size_t values = config.layers * slots * 2 * config.kv_heads * capacity * config.head_dim;
  return values * (type == KvType::kF32 ? 4 : 2);
}

size_t KvCache::Offset(size_t layer, size_t slot, size_t which, size_t head) const {
  return (((layer * slots_ + slot) * 2 + which) * kv_heads_ + head) * capacity_ * head_dim_;
}

KvView KvCache::View(size_t layer, size_t slot, size_t which) const {
  return {.data = data_.data() + Offset(layer, slot, which, 0) * element_,
          .f16 = type_ == KvType::kF16,
          .head_stride = capacity_ * head_dim_,
          .row_stride = head_dim_};
}

void KvCache::Write(size_t layer, size_t slot, size_t position, const float* k, const float* v) {
  QAD_CHECK(slot < slots_ && position < capacity_);
  for (size_t which = 0; which < 2; ++which) {
    const float* from = which == 0 ? k : v;
    for (size_t head = 0; head < kv_heads_; ++head, from += head_dim_) {
      std::byte* to = data_.data() + (Offset(layer, slot, which, head) + position * head_dim_) * element_;
      if (type_ == KvType::kF32)
        std::memcpy(to, from, head_dim_ * sizeof(float));
      else
        ConvertToF16(from, reinterpret_cast<uint16_t*>(to), head_dim_);
    }
  }
}

void KvCache::CopyPrefix(size_t from, size_t to, size_t count) {
  QAD_CHECK(from < slots_ && to < slots_ && count <= capacity_);
  for (size_t layer = 0; layer < layers_; ++layer)
    for (size_t which = 0; which < 2; ++which)
      for (size_t head = 0; head < kv_heads_; ++head)
        std::memcpy(data_.data() + Offset(layer, to, which, head) * element_,
                    data_.data() + Offset(layer, from, which, head) * element_, count * head_dim_ * element_);
}

}  // namespace qad

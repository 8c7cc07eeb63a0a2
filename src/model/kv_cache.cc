#include "model/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "kernels/matrix.h"
#include "model/footprint.h"

namespace qad {
namespace {

constexpr std::pair<FormatId, Layout> kKvFormats[] = {{FormatId::kF32, Layout::kF32},
                                                      {FormatId::kF16, Layout::kF16},
                                                      {FormatId::kBF16, Layout::kBF16},
                                                      {FormatId::kQ8_0, Layout::kQ8_0},
                                                      {FormatId::kQ4_0, Layout::kQ4_0}};

const std::pair<FormatId, Layout>* FindKvFormat(FormatId type) {
  const auto* found = std::ranges::find(kKvFormats, type, &std::pair<FormatId, Layout>::first);
  return found == std::end(kKvFormats) ? nullptr : found;
}

Layout LayoutOf(FormatId type) {
  const auto* found = FindKvFormat(type);
  QAD_CHECK(found != nullptr);
  return found->second;
}

// Block formats have no codes for what is not finite: the scales carry it.
void EncodeBlocks(const Format& format, const float* in, std::byte* row, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += in[i] * 0.0f;
  if (sum == 0) return format.encode_row(in, row, n);
  constexpr uint16_t kNan = 0x7e00;
  std::memset(row, 0, format.RowBytes(n));
  for (std::byte* block = row; block < row + format.RowBytes(n); block += format.block_bytes)
    std::memcpy(block, &kNan, sizeof(kNan));
}

}  // namespace

FormatId ParseKvType(const std::string& name, const ModelConfig& config) {
  const Format* format = FindFormat(name == "fp16" ? "f16" : name);
  if (format == nullptr || FindKvFormat(format->id) == nullptr) {
    std::string known;
    for (const auto& [type, layout] : kKvFormats) known.append(known.empty() ? "" : ", ").append(GetFormat(type).name);
    Fail(ErrorKind::kUsage, "KV type \"{}\" is not known; known: {}", name, known);
  }
  if (!format->Divides(config.head_dim))
    Fail(ErrorKind::kUsage, "KV type {} has blocks of {}, which do not divide heads of {}", name, format->block,
         config.head_dim);
  return format->id;
}

namespace {

uint64_t BatchBytes(const ModelConfig& config, size_t sequences, size_t positions, FormatId type, size_t shared) {
  return KvCache::Bytes(config, sequences + shared, positions, type) + InferenceBytes(config, positions, sequences);
}

}  // namespace

size_t SequencesThatFit(const ModelConfig& config, size_t most, size_t positions, FormatId type, uint64_t available,
                        size_t shared) {
  size_t fits = 0, over = most + 1;
  while (over - fits > 1) {
    const size_t middle = fits + (over - fits) / 2;
    (BatchBytes(config, middle, positions, type, shared) <= available ? fits : over) = middle;
  }
  return fits;
}

void RequireRoom(const ModelConfig& config, size_t sequences, size_t positions, FormatId type, uint64_t available) {
  const uint64_t needed = BatchBytes(config, sequences, positions, type, 0);
  if (needed <= available) return;
  const size_t fits = SequencesThatFit(config, sequences, positions, type, available);
  FailInput("a {} cache of {} sequence{} of {} tokens takes {} with its buffers, and {} of memory is left; {}",
            GetFormat(type).name, sequences, sequences == 1 ? "" : "s", positions,
            FormatBytes(static_cast<double>(needed)), FormatBytes(static_cast<double>(available)),
            fits > 0 ? fmt::format("{} would fit: free memory, or take a smaller batch or shorter sequences", fits)
                     : std::string("not one fits: free memory, or take fewer tokens or a smaller KV type"));
}

KvCache::KvCache(const ModelConfig& config, size_t slots, size_t capacity, FormatId type)
    : layers_(config.layers),
      slots_(slots),
      capacity_(capacity),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      format_(GetFormat(type)),
      layout_(LayoutOf(type)),
      row_bytes_(format_.RowBytes(head_dim_)),
      bytes_(Bytes(config, slots, capacity, type)),
      data_(AllocateHuge(bytes_)) {
  std::memset(data_.get(), 0, bytes_);  // all there from the beginning, as it is planned
  QAD_CHECK(format_.Divides(head_dim_) && LayoutRowBytes(layout_, head_dim_) == row_bytes_);
}

size_t KvCache::Bytes(const ModelConfig& config, size_t slots, size_t capacity, FormatId type) {
  return config.layers * slots * 2 * config.kv_heads * capacity * GetFormat(type).RowBytes(config.head_dim);
}

size_t KvCache::Offset(size_t layer, size_t slot, size_t which, size_t head) const {
  return (((layer * slots_ + slot) * 2 + which) * kv_heads_ + head) * capacity_ * row_bytes_;
}

KvView KvCache::View(size_t layer, size_t slot, size_t which) const {
  return {.data = data_.get() + Offset(layer, slot, which, 0),
          .layout = layout_,
          .head_stride = capacity_ * row_bytes_,
          .row_stride = row_bytes_};
}

void KvCache::Write(size_t layer, size_t slot, size_t position, const float* k, const float* v) {
  QAD_CHECK(slot < slots_ && position < capacity_);
  for (size_t which = 0; which < 2; ++which) {
    const float* from = which == 0 ? k : v;
    for (size_t head = 0; head < kv_heads_; ++head, from += head_dim_) {
      std::byte* to = data_.get() + Offset(layer, slot, which, head) + position * row_bytes_;
      if (format_.id == FormatId::kF16)
        ConvertToF16(from, reinterpret_cast<uint16_t*>(to), head_dim_);
      else if (format_.block == 1)
        format_.encode_row(from, to, head_dim_);
      else
        EncodeBlocks(format_, from, to, head_dim_);
    }
  }
}

void KvCache::CopyPrefix(size_t from, size_t to, size_t count) {
  QAD_CHECK(from < slots_ && to < slots_ && count <= capacity_);
  for (size_t layer = 0; layer < layers_; ++layer)
    for (size_t which = 0; which < 2; ++which)
      for (size_t head = 0; head < kv_heads_; ++head)
        std::memcpy(data_.get() + Offset(layer, to, which, head), data_.get() + Offset(layer, from, which, head),
                    count * row_bytes_);
}

}  // namespace qad

#include "base/huge_pages.h"

#include <sys/mman.h>

#include "base/error.h"

namespace qad {

namespace {

constexpr size_t kLine = 64, kHuge = size_t{2} << 20;
size_t AlignmentOf(size_t bytes) { return bytes >= kHuge ? kHuge : kLine; }

}  // namespace

size_t HugeSize(size_t bytes) {
  const size_t alignment = AlignmentOf(bytes);
  return (bytes + alignment - 1) / alignment * alignment;
}

HugeBytes AllocateHuge(size_t bytes) {
  const size_t alignment = AlignmentOf(bytes), rounded = HugeSize(bytes);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (memory == nullptr) Fail(ErrorKind::kFailed, "no memory for {} bytes; free some", bytes);
  if (alignment == kHuge) ::madvise(memory, rounded, MADV_HUGEPAGE);
  return HugeBytes(memory);
}

}  // namespace qad

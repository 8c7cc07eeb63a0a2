#include "base/huge_pages.h"

#include <sys/mman.h>

#include "base/error.h"

namespace qad {

HugeBytes AllocateHuge(size_t bytes) {
  constexpr size_t kLine = 64, kHuge = size_t{2} << 20;
  const size_t alignment = bytes >= kHuge ? kHuge : kLine;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (memory == nullptr) Fail(ErrorKind::kFailed, "no memory for {} bytes; free some", bytes);
  if (alignment == kHuge) ::madvise(memory, rounded, MADV_HUGEPAGE);
  return HugeBytes(memory);
}

}  // namespace qad

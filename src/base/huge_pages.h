// Memory in huge pages, where the system gives them: what is read from end to end again and again meets few page faults
// and few misses of the TLB.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace qad {

struct FreeHuge {
  void operator()(std::byte* p) const { std::free(p); }
};
using HugeBytes = std::unique_ptr<std::byte, FreeHuge>;

// What AllocateHuge takes for so many.
size_t HugeSize(size_t bytes);

// Uninitialised; aligned to a cache line, and from 2 MiB on to a huge page. Errors (kFailed): no memory.
HugeBytes AllocateHuge(size_t bytes);

}  // namespace qad

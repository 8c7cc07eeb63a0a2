#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace qad {

void AbortCheck(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace qad

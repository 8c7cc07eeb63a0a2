// What qad memory prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/model_files.h"
#include "memory/memory_math.h"

namespace qad {

// What the question is about: a plan, and the files behind it where there are any.
struct MemorySubject {
  std::string title, format;
  Plan plan;
  std::optional<ModelFiles> files;
};

// All of it; `context`: of the case whose sum is drawn up.
void PrintMemory(const MemorySubject& subject, const MemoryQuery& query, const MemoryMath& math, uint64_t context);

// The answer to --fit.
void PrintFits(const MemorySubject& subject, const MemoryQuery& query, const std::vector<FormatFits>& fits);

}  // namespace qad

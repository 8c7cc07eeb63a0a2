// Writes the pack: memory_math.md, benchmark_results.md, decision_memo.md and report.html from one set of documents.
#pragma once

#include <filesystem>

#include "report/pages.h"

namespace qad {

// Errors: kFailed where a file cannot be written; each appears whole or not at all.
void WritePack(const Pack& pack, const std::filesystem::path& folder);

}  // namespace qad

#include "report/report.h"

#include "base/files.h"

namespace qad {

void WritePack(const Pack& pack, const std::filesystem::path& folder) {
  MakeFolders(folder);
  const Document memo = MemoPage(pack), benchmark = BenchmarkPage(pack), memory = MemoryPage(pack);
  WriteFileAtomic(folder / "memory_math.md", RenderMarkdown(memory));
  WriteFileAtomic(folder / "benchmark_results.md", RenderMarkdown(benchmark));
  WriteFileAtomic(folder / "decision_memo.md", RenderMarkdown(memo));
  WriteFileAtomic(folder / "report.html",
                  RenderHtml("qad: " + ModelName(pack), {memo, benchmark, memory, SamplesPage(pack)}));
}

}  // namespace qad

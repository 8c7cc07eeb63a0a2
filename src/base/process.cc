#include "base/process.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string_view>

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// The text after "key:" or "key\t:" on the first line that begins with `key`; empty where there is none.
std::string Field(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

uint64_t Number(std::string_view text, uint64_t otherwise) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() ? value : otherwise;
}

uint64_t StatusBytes(std::string_view key) { return Number(Field("/proc/self/status", key), 0) * 1024; }

// /proc/self/cgroup: "hierarchy:controllers:path"; controllers are empty for version 2.
uint64_t CgroupLimit() {
  uint64_t limit = kNoLimit;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") limit = std::min(limit, SmallestCgroupLimit("/sys/fs/cgroup", group, "memory.max"));
    if (controllers.find(",memory,") != std::string::npos)
      limit = std::min(limit, SmallestCgroupLimit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
  }
  return limit;
}

}  // namespace

uint64_t CurrentRssBytes() { return StatusBytes("VmRSS"); }
uint64_t PeakRssBytes() { return StatusBytes("VmHWM"); }

void ReturnFreedMemory() { ::malloc_trim(0); }

bool ResetPeakRss() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

// A container sees its own group as the root of the tree or under its path on the host: missing files say nothing.
uint64_t SmallestCgroupLimit(const fs::path& root, const std::string& group, const std::string& file) {
  uint64_t limit = kNoLimit;
  fs::path below = fs::path(group).relative_path();
  for (;;) {
    std::ifstream in(root / below / file);
    std::string text;
    if (in >> text) limit = std::min(limit, Number(text, kNoLimit));  // "max" is no number
    if (below.empty()) return limit;
    below = below.parent_path();
  }
}

uint64_t TotalMemoryBytes() {
  const auto pages = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto page = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  return std::min(pages * page, CgroupLimit());
}

uint64_t AvailableMemoryBytes() {
  const uint64_t limit = CgroupLimit(), own = CurrentRssBytes();
  const uint64_t machine = Number(Field("/proc/meminfo", "MemAvailable"), kNoLimit / 1024) * 1024;
  return std::min(machine, limit == kNoLimit ? kNoLimit : limit - std::min(limit, own));
}

std::string CpuName() {
  const std::string name = Field("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

}  // namespace qad

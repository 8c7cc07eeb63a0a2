#include "base/process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>

#include "base/test_files.h"

namespace qad {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 20;

TEST(Process, ResidentMemoryFollowsTouchedPages) {
  const uint64_t before = CurrentRssBytes();
  ASSERT_GT(before, 0u);
  const auto block = std::make_unique<char[]>(kBlockBytes);
  std::memset(block.get(), 1, kBlockBytes);
  const uint64_t after = CurrentRssBytes();
  // The block is resident but for what the allocator or the system may have given back meanwhile.
  EXPECT_GE(after, before + kBlockBytes / 2);
  EXPECT_GE(PeakRssBytes(), after);
  EXPECT_NE(block[kBlockBytes - 1], 0);
}

TEST(Process, PeakRemembersAndCanBeReset) {
  {
    const auto block = std::make_unique<char[]>(kBlockBytes);
    std::memset(block.get(), 1, kBlockBytes);
    EXPECT_NE(block[0], 0);
  }
  if (CurrentRssBytes() + kBlockBytes / 2 > PeakRssBytes()) GTEST_SKIP() << "the allocator kept the block";
  const uint64_t peak = PeakRssBytes();
  if (!ResetPeakRss()) GTEST_SKIP() << "/proc/self/clear_refs is not writable here";
  EXPECT_LT(PeakRssBytes(), peak - kBlockBytes / 2);
}

TEST(Process, AvailableMemoryIsAPartOfTheTotal) {
  EXPECT_GT(AvailableMemoryBytes(), 0u);
  EXPECT_LE(AvailableMemoryBytes(), TotalMemoryBytes());
}

TEST(Process, TotalMemoryIsNotMoreThanTheMachines) {
  const auto machine =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_GT(TotalMemoryBytes(), CurrentRssBytes());
  EXPECT_LE(TotalMemoryBytes(), machine);
}

TEST(Process, SmallestCgroupLimitOnTheWayUpCounts) {
  const TempFolder folder;
  const std::filesystem::path root = folder.path();
  std::filesystem::create_directories(root / "a" / "b");
  const auto write = [&](const std::filesystem::path& at, const char* text) {
    std::ofstream(root / at / "memory.max") << text;
  };
  EXPECT_EQ(SmallestCgroupLimit(root, "/a/b", "memory.max"), UINT64_MAX);
  write("a/b", "max\n");
  EXPECT_EQ(SmallestCgroupLimit(root, "/a/b", "memory.max"), UINT64_MAX);
  write("a", "1073741824\n");
  EXPECT_EQ(SmallestCgroupLimit(root, "/a/b", "memory.max"), 1073741824u);
  write("a/b", "4294967296\n");  // a child cannot have more than its parent
  EXPECT_EQ(SmallestCgroupLimit(root, "/a/b", "memory.max"), 1073741824u);
  write(".", "1000\n");
  EXPECT_EQ(SmallestCgroupLimit(root, "/gone/elsewhere", "memory.max"), 1000u);
  EXPECT_EQ(SmallestCgroupLimit(root, "/", "memory.max"), 1000u);
}

TEST(Process, TheProcessorHasAName) { EXPECT_FALSE(CpuName().empty()); }

}  // namespace
}  // namespace qad

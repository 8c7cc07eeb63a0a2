// What stood there before survives every failure.
#include "base/files.h"

#include <atomic>
#include <thread>

#include "base/test_files.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

size_t FilesIn(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(MappedFile, ShowsTheBytes) {
  const TempFolder folder;
  MappedFile file(folder.Write("a", "hello"));
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(file.bytes()[4]), 'o');
  MappedFile moved(std::move(file));
  moved.DropPages();  // they come back from the file
  EXPECT_EQ(static_cast<char>(moved.bytes()[0]), 'h');
  EXPECT_TRUE(MappedFile(folder.Write("empty", "")).bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const TempFolder folder;
  EXPECT_TRUE(Fails([&] { MappedFile(folder / "none"); }, ErrorKind::kInput, {"none", "No such file"}));
  EXPECT_TRUE(Fails([&] { MappedFile file(folder.path()); }, ErrorKind::kInput, {"not a regular file"}));
}

TEST(ReadTextFile, ReadsAllOrFails) {
  const TempFolder folder;
  EXPECT_EQ(ReadTextFile(folder.Write("a", std::string("x\0y", 3))), std::string("x\0y", 3));
  EXPECT_EQ(ReadTextFile(folder.Write("empty", "")), "");
  EXPECT_TRUE(Fails([&] { ReadTextFile(folder / "a", 2); }, ErrorKind::kInput, {"has 3 bytes, more than the 2"}));
  EXPECT_TRUE(Fails([&] { ReadTextFile(folder / "none"); }, ErrorKind::kInput, {"cannot be opened"}));
}

TEST(AtomicFile, AppearsWholeAtCommit) {
  const TempFolder folder;
  const auto path = folder.Write("out", "old");
  {
    AtomicFile file(path);
    file.Write("new ");
    file.Write("text");
    EXPECT_EQ(file.size(), 8u);
    EXPECT_EQ(FileBytes(path), "old");
    file.Commit();
  }
  EXPECT_EQ(FileBytes(path), "new text");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const TempFolder folder;
  const auto path = folder.Write("out", "old");
  { AtomicFile(path).Write("half"); }
  EXPECT_EQ(FileBytes(path), "old");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(AtomicFile, FileSizeLimitLeavesTheOldFile) {
  const TempFolder folder;
  const auto path = folder.Write("out", "old");
  const auto write = [&] { WriteFileAtomic(path, std::string(100000, 'x')); };
  EXPECT_EQ(WithFileSizeLimit(4096, write), static_cast<int>(ErrorKind::kFailed));
  EXPECT_EQ(FileBytes(path), "old");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
  EXPECT_EQ(WithFileSizeLimit(200000, write), 0);
  EXPECT_EQ(FileBytes(path).size(), 100000u);
}

TEST(AtomicFile, SaysWhyItCannotWrite) {
  const TempFolder folder;
  folder.Write("file", "");
  EXPECT_TRUE(Fails([&] { WriteFileAtomic(folder / "file/out", "x"); }, ErrorKind::kFailed, {"file"}));
  fs::create_directories(folder / "folder/full");
  EXPECT_TRUE(Fails([&] { WriteFileAtomic(folder / "folder", "x"); }, ErrorKind::kFailed, {"cannot be put in place"}));
  EXPECT_EQ(FilesIn(folder.path()), 2u);
}

TEST(AtomicFile, MakesItsFolder) {
  const TempFolder folder;
  WriteFileAtomic(folder / "a/b/c", "x");
  EXPECT_EQ(FileBytes(folder / "a/b/c"), "x");
}

TEST(FolderSwap, ReplacesTheWholeFolder) {
  const TempFolder folder;
  folder.Write("out/old", "1");
  {
    FolderSwap swap(folder / "out/");
    WriteFileAtomic(swap.path() / "new", "2");
    EXPECT_TRUE(fs::exists(folder / "out/old"));
    swap.Commit();
  }
  EXPECT_FALSE(fs::exists(folder / "out/old"));
  EXPECT_EQ(FileBytes(folder / "out/new"), "2");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(FolderSwap, WithoutCommitTheOldOneStays) {
  const TempFolder folder;
  folder.Write("out/old", "1");
  { WriteFileAtomic(FolderSwap(folder / "out").path() / "new", "2"); }
  EXPECT_EQ(FileBytes(folder / "out/old"), "1");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(FolderSwap, FullDiskLeavesTheOldOne) {
  const TempFolder folder;
  folder.Write("out/old", "1");
  const int code = WithFileSizeLimit(4096, [&] {
    FolderSwap swap(folder / "out");
    WriteFileAtomic(swap.path() / "small", "2");
    WriteFileAtomic(swap.path() / "large", std::string(100000, 'x'));
    swap.Commit();
  });
  EXPECT_EQ(code, static_cast<int>(ErrorKind::kFailed));
  EXPECT_EQ(FileBytes(folder / "out/old"), "1");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(FolderSwap, AFolderStandsAtThePathAtAnyTime) {
  const TempFolder folder;
  const fs::path file = folder.Write("out/file", "0");
  std::atomic<bool> done = false;
  int missing = 0;
  std::thread reader([&] {
    while (!done) missing += fs::exists(file) ? 0 : 1;
  });
  for (int i = 0; i < 300; ++i) {
    FolderSwap swap(folder / "out");
    WriteFileAtomic(swap.path() / "file", "1");
    swap.Commit();
  }
  done = true;
  reader.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(FolderSwap, ReplacesWhereTheFilesystemCannotExchange) {
  struct Swap : FolderSwap {
    using FolderSwap::FolderSwap, FolderSwap::Replace;
  };
  const TempFolder folder;
  folder.Write("out/old", "1");
  {
    Swap swap(folder / "out");
    WriteFileAtomic(swap.path() / "new", "2");
    swap.Replace();
  }
  EXPECT_FALSE(fs::exists(folder / "out/old"));
  EXPECT_EQ(FileBytes(folder / "out/new"), "2");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(FolderSwap, WhatCannotBePlacedLeavesTheOldOne) {
  const TempFolder folder;
  folder.Write("out/old", "1");
  {
    FolderSwap swap(folder / "out");
    fs::remove_all(swap.path());
    EXPECT_TRUE(Fails([&] { swap.Commit(); }, ErrorKind::kFailed, {"out", "cannot be put in place"}));
  }
  EXPECT_EQ(FileBytes(folder / "out/old"), "1");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

// Killed where names cannot be exchanged, and the old folder was just put aside.
TEST(FolderSwap, WhatAKilledOneLeftIsMended) {
  const TempFolder folder;
  const fs::path out = folder.Write("out/old", "1").parent_path();
  for (const bool by_the_next : {false, true}) {
    const pid_t killed = ::fork();
    if (killed == 0) {
      const FolderSwap swap(out), within(swap.path());
      fs::rename(out, fmt::format("{}.qad-old.{}", out.string(), ::getpid()));
      ::_exit(0);
    }
    ASSERT_EQ(::waitpid(killed, nullptr, 0), killed);
    EXPECT_EQ(FilesIn(folder.path()), 3u);
    EXPECT_FALSE(fs::exists(out));
    by_the_next ? static_cast<void>(FolderSwap(out)) : MendSwaps(out / "");
    EXPECT_EQ(FileBytes(out / "old"), "1");
    EXPECT_EQ(FilesIn(folder.path()), 1u);
  }
}

TEST(FolderSwap, WhatIsNotAKilledOnesIsLeftAlone) {
  const TempFolder folder;
  const std::string running = fmt::format("out.qad-new.{}", ::getppid());
  for (const std::string& name : {running, std::string("out.old.1"), std::string("out.tmp.1"),
                                  std::string("out.qad-old.mine"), std::string("other.qad-new.1")})
    folder.Write(name + "/file", "1");
  FolderSwap(folder / "out").Commit();
  EXPECT_EQ(FilesIn(folder.path()), 6u);
}

TEST(FolderSwap, MakesAFolderThatWasNotThere) {
  const TempFolder folder;
  FolderSwap swap(folder / "deep/out");
  swap.Commit();
  EXPECT_TRUE(fs::is_directory(folder / "deep/out"));
}

TEST(Files, AFolderIsProvedWritable) {
  const TempFolder folder;
  RequireWritable(folder / "new/deep");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "new/deep"));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "new/deep")) << "the probe stays";
  folder.Write("file", "no folder");
  EXPECT_THROW(RequireWritable(folder / "file/below"), Error);
}

TEST(Files, AFolderThatCouldBeMadeIsNotMade) {
  const TempFolder folder;
  RequireCreatable(folder / "new/deep");
  RequireCreatable(folder.path());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  folder.Write("file", "no folder");
  EXPECT_THROW(RequireCreatable(folder / "file/below"), Error);
  EXPECT_THROW(RequireCreatable(folder / "file"), Error);
}

TEST(SplitLines, KeepsEmptyLinesButTheLast) {
  using Lines = std::vector<std::string_view>;
  EXPECT_EQ(SplitLines(""), Lines{});
  EXPECT_EQ(SplitLines("\n"), Lines{""});
  EXPECT_EQ(SplitLines("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(SplitLines("a\r\nb\n"), (Lines{"a\r", "b"}));
}

}  // namespace
}  // namespace qad

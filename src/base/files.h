// Reading by mapping, writing by replacing: an output exists whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

// A file mapped read-only. Movable; the view lives as long as the object.
class MappedFile {
 public:
  MappedFile() = default;
  // Errors: kInput where the file is missing, is a folder or cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // Tells the kernel that these pages will not be read again, so that they leave the resident set.
  void DropPages() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

// The whole file as text. Errors: kInput where missing or larger than `limit` bytes.
std::string ReadTextFile(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 30);

// Writes to a temporary file beside `path`; Commit() syncs it and renames it over `path`, then syncs the folder.
// Without Commit the temporary file is removed and `path` stays as it was.
// Errors: kFailed with the system's reason (disk full, permission, file-size limit).
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void Write(const void* data, size_t size);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  uint64_t size() const { return size_; }
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  static constexpr uint64_t kStartEvery = uint64_t{8} << 20;

  int descriptor_ = -1;
  uint64_t size_ = 0, started_ = 0;  // bytes that were written; that the disk was told to begin with
};

// Renames a file over what may stand at `to`. Errors: kFailed.
void MoveFile(const std::filesystem::path& from, const std::filesystem::path& to);

void WriteFileAtomic(const std::filesystem::path& path, std::string_view text);

// A folder written beside its place and swapped in whole by Commit(), so that the path names a whole folder at any
// time; without it the new one is removed and what stood there stays. What killed swaps left is mended first. Errors:
// kFailed.
class FolderSwap {
 public:
  explicit FolderSwap(const std::filesystem::path& folder);
  FolderSwap(const FolderSwap&) = delete;
  FolderSwap& operator=(const FolderSwap&) = delete;
  ~FolderSwap();

  const std::filesystem::path& path() const { return temporary_; }  // write here
  void Commit();

 protected:
  bool Exchange();  // in one call to the kernel; false where the filesystem cannot
  void Replace();   // in two renames, between which the path names nothing

 private:
  std::filesystem::path place_, temporary_;
  bool committed_ = false;
};

// After a kill: what swaps of `folder` were writing goes away, and the folder that one had put aside goes back to its
// place where that is empty. What other processes of this machine (and of its process namespace) are still swapping is
// left alone.
void MendSwaps(const std::filesystem::path& folder);

// mkdir -p with our error.
void MakeFolders(const std::filesystem::path& path);
// The same, and proves that files can be written there: before hours of work, not after. Errors: kFailed.
void RequireWritable(const std::filesystem::path& folder);
// Makes nothing: only that whatever exists of `folder`, or holds its place, is a folder that may be written to.
// Errors: kFailed.
void RequireCreatable(const std::filesystem::path& folder);

// Lines without their line feeds; what stands behind the last one is a line where it is not empty. They refer to
// `text`.
std::vector<std::string_view> SplitLines(std::string_view text);

}  // namespace qad

#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

int OpenForReading(const fs::path& path, struct stat* status) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) FailInput("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  if (::fstat(descriptor, status) != 0 || !S_ISREG(status->st_mode)) {
    ::close(descriptor);
    FailInput("{}: is not a regular file", path.string());
  }
  return descriptor;
}

[[noreturn]] void FailToPlace(const fs::path& path, std::string_view reason) {
  Fail(ErrorKind::kFailed, "{}: cannot be put in place: {}", path.string(), reason);
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  struct stat status {};
  const int descriptor = OpenForReading(path, &status);
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      const int reason = errno;
      ::close(descriptor);
      FailInput("{}: cannot be mapped: {}", path.string(), std::strerror(reason));
    }
    data_ = static_cast<const std::byte*>(address);
  }
  ::close(descriptor);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::DropPages() const {
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

std::string ReadTextFile(const fs::path& path, uint64_t limit) {
  struct stat status {};
  const int descriptor = OpenForReading(path, &status);
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > limit) {
    ::close(descriptor);
    FailInput("{}: has {} bytes, more than the {} that such a file may have", path.string(), size, limit);
  }
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(descriptor, text.data() + done, text.size() - done);
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  ::close(descriptor);
  if (done != text.size()) FailInput("{}: ended after {} of {} bytes", path.string(), done, text.size());
  return text;
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  static std::atomic<int> counter{0};
  temporary_ = path;
  temporary_ += fmt::format(".tmp.{}.{}", ::getpid(), counter++);
  if (path.has_parent_path()) MakeFolders(path.parent_path());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) Fail(ErrorKind::kFailed, "{}: cannot be written: {}", path.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::Write(const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = ::write(descriptor_, at, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      Fail(ErrorKind::kFailed, "{}: writing stopped after {} bytes: {}; what stood there before is untouched",
           path_.string(), size_, std::strerror(put < 0 ? errno : ENOSPC));
    }
    at += put;
    size -= static_cast<size_t>(put);
    size_ += static_cast<uint64_t>(put);
  }
  if (size_ - started_ < kStartEvery) return;
  // The disk begins while more is made, so that Commit() has little to wait for. Only a hint: Commit() tells of errors.
  (void)::sync_file_range(descriptor_, static_cast<off64_t>(started_), static_cast<off64_t>(size_ - started_),
                          SYNC_FILE_RANGE_WRITE);
  started_ = size_;
}

void AtomicFile::Commit() {
  const bool synced = ::fsync(descriptor_) == 0;
  const int reason = errno;
  ::close(descriptor_);
  descriptor_ = -1;
  if (!synced || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int why = synced ? errno : reason;
    ::unlink(temporary_.c_str());
    FailToPlace(path_, std::strerror(why));
  }
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const int parent = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent >= 0) {
    ::fsync(parent);
    ::close(parent);
  }
}

void MoveFile(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) FailToPlace(to, std::strerror(errno));
}

void WriteFileAtomic(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.Write(text);
  file.Commit();
}

namespace {

fs::path WithoutTrailingSlash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

// This process never swaps a place twice at once: what has its number was left by an earlier one with the same.
bool IsAnother(pid_t process) { return process != ::getpid() && (::kill(process, 0) == 0 || errno == EPERM); }

// Folders of swaps: the place's name, one of these, the number of the process. Nobody else's folders are called so.
constexpr const char *kNew = ".qad-new.", *kOld = ".qad-old.";

// Those of processes that have ended.
std::vector<fs::path> LeftBeside(const fs::path& place, const char* kind) {
  std::vector<fs::path> left;
  const std::string prefix = place.filename().string() + kind;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::absolute(place).parent_path(), missing)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix) || !entry.is_directory()) continue;
    pid_t process = 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, process);
    const bool fits = error == std::errc() && (stop == end || *stop == '.');  // a swap within a swap adds its own
    if (fits && !IsAnother(process)) left.push_back(entry.path());
  }
  return left;
}

}  // namespace

void MendSwaps(const fs::path& folder) {
  const fs::path place = WithoutTrailingSlash(folder);
  std::error_code ignored;
  for (const fs::path& aside : LeftBeside(place, kOld)) {
    if (fs::exists(place, ignored))
      fs::remove_all(aside, ignored);
    else
      fs::rename(aside, place, ignored);
  }
  for (const fs::path& unfinished : LeftBeside(place, kNew)) fs::remove_all(unfinished, ignored);
}

FolderSwap::FolderSwap(const fs::path& folder) : place_(WithoutTrailingSlash(folder)), temporary_(place_) {
  temporary_ += kNew + std::to_string(::getpid());
  MendSwaps(place_);
  MakeFolders(temporary_);
}

FolderSwap::~FolderSwap() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

// The old folder, where there is one, then stands at the temporary path.
bool FolderSwap::Exchange() {
  const bool had = fs::exists(place_);
  const int done = had ? ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE)
                       : ::rename(temporary_.c_str(), place_.c_str());
  if (done != 0 && had && (errno == EINVAL || errno == ENOSYS)) return false;
  if (done != 0) FailToPlace(place_, std::strerror(errno));
  return true;
}

// Between the two renames the old folder stands under its aside name only; MendSwaps knows it by that.
void FolderSwap::Replace() {
  fs::path aside = place_;
  aside += kOld + std::to_string(::getpid());
  std::error_code error, ignored;
  fs::rename(place_, aside, error);
  if (!error) fs::rename(temporary_, place_, error);
  if (error) {
    if (!fs::exists(place_)) fs::rename(aside, place_, ignored);
    FailToPlace(place_, error.message());
  }
  fs::remove_all(aside, ignored);
}

void FolderSwap::Commit() {
  if (!Exchange()) Replace();
  committed_ = true;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // what was exchanged
}

void MakeFolders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) Fail(ErrorKind::kFailed, "{}: the folder cannot be made: {}", path.string(), error.message());
}

void RequireWritable(const std::filesystem::path& folder) {
  MakeFolders(folder);
  const AtomicFile probe(folder / ".writable");  // never committed: it is gone again at once
}

void RequireCreatable(const std::filesystem::path& folder) {
  fs::path nearest = fs::absolute(folder).lexically_normal();
  std::error_code missing;
  while (!fs::exists(fs::symlink_status(nearest, missing)) && nearest.has_relative_path())
    nearest = nearest.parent_path();
  if (!fs::is_directory(nearest)) Fail(ErrorKind::kFailed, "{}: {} is no folder", folder.string(), nearest.string());
  if (::access(nearest.c_str(), W_OK | X_OK) != 0)
    Fail(ErrorKind::kFailed, "{}: nothing can be written in {}: {}", folder.string(), nearest.string(),
         std::generic_category().message(errno));
}

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace qad

// Files of tests: temporary folders, goldens, the check that bad input fails with the right words, and a limit on the
// size of files. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace qad {

// A new folder, removed at the end of the test.
class TempFolder {
 public:
  TempFolder() {
    const std::filesystem::path memory = "/dev/shm";  // thousands of small files take seconds on a disk
    const bool usable = ::access(memory.c_str(), W_OK) == 0;
    std::string name = (usable ? memory : std::filesystem::temp_directory_path()) / "qad-test-XXXXXX";
    // Never a folder that another test left behind: process numbers come again, and other machines may share the
    // memory.
    if (::mkdtemp(name.data()) == nullptr) Fail(ErrorKind::kFailed, "{}: {}", name, std::strerror(errno));
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  // Writes a file (folders on the way are made) and returns its path.
  std::filesystem::path Write(std::string_view name, std::string_view bytes) const {
    std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string FileBytes(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

inline std::filesystem::path TestData(std::string_view name) { return std::filesystem::path(QAD_TESTDATA) / name; }

// `action` must throw an Error of this kind whose message holds every one of `parts`.
template <typename Action>
::testing::AssertionResult Fails(Action&& action, ErrorKind kind, const std::vector<std::string_view>& parts) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.kind() != kind)
      return ::testing::AssertionFailure() << "error of kind " << error.exit_code() << ": " << message;
    for (const std::string_view part : parts)
      if (message.find(part) == std::string::npos)
        return ::testing::AssertionFailure() << "\"" << part << "\" is not in: " << message;
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

// Runs `action` in a child in which files may have at most `limit` bytes; returns its exit code: 0, or that of the
// Error.
template <typename Action>
int WithFileSizeLimit(rlim_t limit, Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit size { limit, limit };
    int code = ::setrlimit(RLIMIT_FSIZE, &size) == 0 ? 0 : 99;
    try {
      action();
    } catch (const Error& error) {
      code = error.exit_code();
    } catch (...) {
      code = 99;
    }
    ::_exit(code);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace qad

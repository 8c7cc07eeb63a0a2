// The one error type. Bad input throws it with the place and the remedy; main catches it once and exits with its code.
// A broken invariant is not an error but a bug: QAD_CHECK aborts with file and line.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace qad {

// The value is the process's exit code.
enum class ErrorKind {
  kFailed = 1,   // the machine refused: disk full, out of memory, a child failed
  kUsage = 2,    // command line or configuration
  kInput = 3,    // a file that is missing, malformed or does not fit another
  kNumeric = 4,  // NaN or infinity where a number was needed
  kInterrupted = 130,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

template <typename... Args>
[[noreturn]] void Fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Fail(kInput, …): the message should read "file:place: what is wrong; what to do".
template <typename... Args>
[[noreturn]] void FailInput(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kInput, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void AbortCheck(const char* file, int line, const char* condition);

}  // namespace qad

#define QAD_CHECK(condition)                                             \
  do {                                                                   \
    if (!(condition)) ::qad::AbortCheck(__FILE__, __LINE__, #condition); \
  } while (false)

// A program that is killed where a test says so: a filter of seccomp stops it before every call to the kernel that
// changes files, and ptrace tells of it.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad::tracing {
namespace fs = std::filesystem;

// One call that changes files, as the kernel is asked for it.
struct FileCall {
  std::string name;  // "rename"
  std::string of;    // what it changes, from the traced folder; of a rename, what it is to be called

  bool operator==(const FileCall&) const = default;
  std::string Text() const { return name + " " + of; }
};

struct Traced {
  int status = 0;               // as waitpid has it
  std::vector<FileCall> calls;  // that were made; of a program that was killed the last one was not

  bool killed() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
  bool succeeded() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
};

struct Tracing {
  std::filesystem::path folder;                              // calls that change nothing below it are passed over
  std::function<bool(size_t before, const FileCall&)> kill;  // before this call, of which there were so many?
  bool exchange = true;  // false: the file system cannot exchange two names, as many cannot
};

// Which of a call's arguments say what it changes: an open file, a path, or a path below an open folder.
struct KnownCall {
  unsigned number;
  const char* name;
  int descriptor, path;  // -1: it has none
};

inline constexpr auto kKnownCalls = std::to_array<KnownCall>({
    {SYS_write, "write", 0, -1},
    {SYS_writev, "write", 0, -1},
    {SYS_pwrite64, "write", 0, -1},
    {SYS_sendfile, "write", 0, -1},
    {SYS_copy_file_range, "write", 2, -1},
    {SYS_ftruncate, "truncate", 0, -1},
    {SYS_fsync, "fsync", 0, -1},
    {SYS_fdatasync, "fsync", 0, -1},
    {SYS_openat, "open", 0, 1},
    {SYS_mkdirat, "mkdir", 0, 1},
    {SYS_linkat, "link", 2, 3},
    {SYS_unlinkat, "unlink", 0, 1},
    {SYS_renameat2, "rename", 2, 3},
#ifdef SYS_renameat
    {SYS_renameat, "rename", 2, 3},
#endif
#ifdef SYS_rename  // machines that have these beside the ones above
    {SYS_open, "open", -1, 0},
    {SYS_mkdir, "mkdir", -1, 0},
    {SYS_link, "link", -1, 1},
    {SYS_unlink, "unlink", -1, 0},
    {SYS_rmdir, "unlink", -1, 0},
    {SYS_rename, "rename", -1, 1},
#endif
});

// The filter: stops at the known calls, refuses exchanges where they are not to be, and lets all else pass.
inline std::vector<sock_filter> FilterOf(bool exchange) {
  constexpr unsigned kFlags = offsetof(seccomp_data, args) + 4 * sizeof(uint64_t);  // of renameat2; its low half
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const KnownCall& call : kKnownCalls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  if (exchange) return filter;
  const std::vector<sock_filter> refusal = {
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 4), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlags),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RENAME_EXCHANGE, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  filter.insert(filter.begin() + 1, refusal.begin(), refusal.end());
  return filter;
}

// In the new process, before it becomes the program.
inline bool LetBeTraced(const Tracing& how) {
  std::vector<sock_filter> filter = FilterOf(how.exchange);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 && ::raise(SIGSTOP) == 0 &&
         ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

// Starts `words` in a process of its own, stopped until the tracer lets it go on.
inline pid_t StartStopped(std::vector<std::string> words, const Tracing& how, const fs::path& out,
                          const fs::path& err) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  for (const auto& [descriptor, path] : {std::pair(STDOUT_FILENO, out), std::pair(STDERR_FILENO, err)})
    ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), descriptor);
  const char* options = std::getenv("ASAN_OPTIONS");
  const std::string no_leaks = fmt::format("{}:detect_leaks=0", options != nullptr ? options : "");
  ::setenv("ASAN_OPTIONS", no_leaks.c_str(), 1);  // the search for leaks traces the program itself
  if (LetBeTraced(how)) ::execv(pointers[0], pointers.data());
  ::_exit(126);
}

inline std::string TextAt(pid_t process, uint64_t address) {
  std::string text;
  std::array<char, 256> part{};
  while (text.size() < PATH_MAX) {
    const size_t wanted = part.size() - address % part.size();  // never across the end of a page
    const iovec here{part.data(), wanted}, there{reinterpret_cast<void*>(address), wanted};
    const ssize_t got = ::process_vm_readv(process, &here, 1, &there, 1, 0);
    if (got <= 0) return text;
    const size_t length = ::strnlen(part.data(), static_cast<size_t>(got));
    text.append(part.data(), length);
    if (length < static_cast<size_t>(got)) return text;
    address += static_cast<uint64_t>(got);
  }
  return text;
}

// What the call that `process` stands before changes below `folder`; a nameless one where it changes nothing there.
inline FileCall CallOf(pid_t process, const fs::path& folder) {
  __ptrace_syscall_info info{};
  ::ptrace(PTRACE_GET_SYSCALL_INFO, process, sizeof(info), &info);
  const auto known = std::ranges::find(kKnownCalls, static_cast<unsigned>(info.seccomp.nr), &KnownCall::number);
  if (info.op != PTRACE_SYSCALL_INFO_SECCOMP || known == kKnownCalls.end()) return {};
  const auto& arguments = info.seccomp.args;
  fs::path of;
  if (known->descriptor >= 0) {
    std::error_code none;
    const auto descriptor = static_cast<int>(arguments[known->descriptor]);
    of = fs::read_symlink(fmt::format("/proc/{}/fd/{}", process, descriptor), none);
  }
  if (known->path >= 0) {
    const bool opens = std::string_view(known->name) == "open";
    if (opens && (arguments[known->path + 1] & (O_WRONLY | O_RDWR | O_CREAT)) == 0) return {};
    of /= TextAt(process, arguments[known->path]);
  }
  const bool below = of.string().starts_with(folder.string() + "/");
  return below ? FileCall{known->name, of.lexically_relative(folder)} : FileCall{};
}

// Runs `words` until `how` has them killed, or to their end. No other child of this process may run meanwhile.
inline Traced Trace(const std::vector<std::string>& words, const Tracing& how, const fs::path& out,
                    const fs::path& err) {
  Traced traced;
  const pid_t child = StartStopped(words, how, out, err);
  const bool stopped = ::waitpid(child, &traced.status, 0) == child && WIFSTOPPED(traced.status);
  EXPECT_TRUE(stopped) << "ptrace is not allowed here, and nothing else kills a program at every write";
  if (!stopped) return traced;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
           PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
  pid_t thread = child;
  for (int signal = 0;;) {
    ::ptrace(PTRACE_CONT, thread, nullptr, signal);
    do thread = ::waitpid(-1, &traced.status, __WALL);
    while (thread != child && thread > 0 && !WIFSTOPPED(traced.status));  // threads that end
    if (thread < 0 || !WIFSTOPPED(traced.status)) return traced;
    const int event = traced.status >> 16;
    signal = event != 0 || WSTOPSIG(traced.status) == SIGSTOP ? 0 : WSTOPSIG(traced.status);
    if (event != PTRACE_EVENT_SECCOMP) continue;
    FileCall call = CallOf(thread, how.folder);
    if (call.name.empty()) continue;
    traced.calls.push_back(std::move(call));
    if (how.kill(traced.calls.size() - 1, traced.calls.back())) ::kill(child, SIGKILL);
  }
}

}  // namespace qad::tracing

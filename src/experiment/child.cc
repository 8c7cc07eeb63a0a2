#include "experiment/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"

extern char** environ;

namespace qad {
namespace {

std::string ReadAll(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
}

}  // namespace

Json RunSelf(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"qad"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.emplace_back("--json");
  std::string shown;
  std::vector<char*> pointers;
  for (std::string& word : words) {
    shown += (shown.empty() ? "" : " ") + word;
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) Fail(ErrorKind::kFailed, "{}: no pipe: {}", shown, std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  const std::string text = error == 0 ? ReadAll(ends[0]) : "";
  ::close(ends[0]);
  if (error != 0) Fail(ErrorKind::kFailed, "{}: cannot be started: {}", shown, std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ThrowIfInterrupted();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    Fail(ErrorKind::kFailed, "{}: ended with {}", shown,
         WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                           : fmt::format("signal {}", WTERMSIG(status)));
  return ParseJson(text, shown);
}

}  // namespace qad

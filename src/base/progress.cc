#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

namespace qad {

using Clock = std::chrono::steady_clock;

Progress::Progress(std::string label, double total, std::string unit, bool quiet)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1), start_(Clock::now()), last_(start_) {}

Progress::~Progress() {
  if (!quiet_ && done_ > 0 && (terminal_ || printed_)) Print(true);
}

void Progress::Advance(double amount, const std::string& note) {
  done_ += amount;
  note_ = note;
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000);
  if (quiet_ || now - last_ < pause) return;
  last_ = now;
  Print(false);
}

void Progress::Print(bool last) {
  printed_ = true;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? done_ / seconds : 0;
  const double share = total_ > 0 ? std::min(1.0, done_ / total_) : 0;
  std::string line = fmt::format("{:<28} {:3.0f}%  {:.1f} {}/s", label_, share * 100, rate, unit_);
  if (!last && rate > 0) line += "  " + FormatSeconds((total_ - done_) / rate) + " left";
  if (last) line += "  in " + FormatSeconds(seconds);
  if (!note_.empty()) line += "  " + note_;
  if (terminal_)
    fmt::print(stderr, "\r\033[K{}{}", line, last ? "\n" : "");
  else
    fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

std::string FormatSeconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f} min {:02.0f} s", std::floor(seconds / 60), std::fmod(std::floor(seconds), 60));
  return fmt::format("{:.0f} h {:02.0f} min", std::floor(seconds / 3600), std::floor(std::fmod(seconds, 3600) / 60));
}

std::string FormatBytes(double bytes) {
  if (bytes < 1024) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1024.0 * 1024) return fmt::format("{:.1f} KiB", bytes / 1024);
  if (bytes < 1024.0 * 1024 * 1024) return fmt::format("{:.1f} MiB", bytes / (1024.0 * 1024));
  return fmt::format("{:.2f} GiB", bytes / (1024.0 * 1024 * 1024));
}

}  // namespace qad

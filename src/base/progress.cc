#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace qad {

using Clock = std::chrono::steady_clock;

Progress::Progress(std::string label, double total, std::string unit, bool quiet)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_) {}

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

}  // namespace qad

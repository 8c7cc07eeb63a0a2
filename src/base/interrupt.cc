#include "base/interrupt.h"

#include <atomic>
#include <csignal>

#include "base/error.h"

namespace qad {
namespace {

std::atomic<bool> interrupted{false};  // the one mutable global: a signal has no other place to write to

void OnSignal(int number) {
  interrupted.store(true, std::memory_order_relaxed);
  std::signal(number, SIG_DFL);
}

}  // namespace

void CatchInterrupts() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

void LetInterruptsEndReads() {
  struct sigaction action {};
  action.sa_handler = OnSignal;  // and no SA_RESTART, which std::signal sets
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &action, nullptr);
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }

void ThrowIfInterrupted() {
  if (Interrupted()) throw Error(ErrorKind::kInterrupted, "interrupted; what was finished is kept");
}

}  // namespace qad

// A bar on stderr with rate and time left; plain lines (at most one every ten seconds) where stderr is no terminal.
#pragma once

#include <chrono>
#include <string>

#include "base/units.h"

namespace qad {

class Progress {
 public:
  // `unit` names what `total` counts ("tok", "items"). Nothing is printed where `quiet`.
  Progress(std::string label, double total, std::string unit, bool quiet = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Advance(double amount, const std::string& note = "");

 private:
  void Print(bool last);
  std::string label_, unit_, note_;
  double total_, done_ = 0;
  bool quiet_, terminal_, printed_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace qad

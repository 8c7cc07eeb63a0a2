// Figures as people read them, the same in memo, tables and on the terminal. Three significant digits unless said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace qad {

std::string FormatBytes(
    double bytes);  // 102,714 B · 401 KiB · 128.3 MiB · 1.25 GiB · 12.5 TiB; powers of 1024, never GB
std::string FormatSeconds(double seconds);    // 850 µs · 12.3 ms · 1.25 s · 3.4 min · 2.1 h · 1.5 d
std::string FormatShare(double share);        // 0.534 → 53.4%; whole where it is whole: 100%
std::string FormatPoints(double difference);  // of shares: 0.085 → +8.5, −0.02 → −2.0
std::string FormatCount(double count);        // 30,000; to the nearest whole
std::string FormatRate(double per_second);    // tokens per second: 2,160 · 97.6 · 3.21
std::string FormatMoney(double amount);       // 0.0312 · 1.48 · 1,250 · < 0.0001
std::string FormatNumber(double value);       // anything else: 0.00182 · 18.01 · 1,250

// A figure with the unit of a RuleCheck or Flip: "bytes", "seconds", "share", "months"; others as numbers alone.
std::string FormatIn(const std::string& unit, double value);

// "53.4% (47.0–59.7)" with the bounds in the value's unit and without its sign; no bounds: the value alone.
std::string FormatShare(double share, std::optional<double> low, std::optional<double> high);

}  // namespace qad

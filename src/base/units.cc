#include "base/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qad {
namespace {

// Three significant digits, grouped by thousands, without an exponent; real minus sign.
std::string Significant(double value, int digits = 3) {
  if (value == 0) return "0";
  const double size = std::fabs(value);
  // The exponent of what will be printed: 9.996 is 10.0.
  const int exponent = static_cast<int>(std::floor(std::log10(size) + 0.5 * std::pow(10, -digits)));
  const int decimals = std::max(0, digits - 1 - exponent);
  const std::string digits_text = decimals > 0 ? fmt::format("{:.{}f}", size, decimals) : FormatCount(size);
  return fmt::format("{}{}", value < 0 ? "−" : "", digits_text);
}

}  // namespace

std::string FormatCount(double count) {
  std::string digits = fmt::format("{:.0f}", std::fabs(count));
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return fmt::format("{}{}", count < 0 && digits != "0" ? "−" : "", digits);
}

std::string FormatBytes(double bytes) {
  constexpr double kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024, kTiB = kGiB * 1024, kPiB = kTiB * 1024,
                   kEiB = kPiB * 1024;
  const double size = std::fabs(bytes);
  if (size >= 16 * kEiB) return "more than 16 EiB";  // where sums of bytes stop
  if (size >= kEiB) return FormatNumber(bytes / kEiB) + " EiB";
  if (size >= kPiB) return FormatNumber(bytes / kPiB) + " PiB";
  if (size >= 10 * kTiB) return FormatNumber(bytes / kTiB) + " TiB";
  if (size >= kGiB) return FormatNumber(bytes / kGiB) + " GiB";
  if (size >= 10 * kMiB) return fmt::format("{:.1f} MiB", bytes / kMiB);
  if (size >= kMiB) return Significant(bytes / kMiB) + " MiB";
  if (size >= 10 * kKiB) return Significant(bytes / kKiB) + " KiB";
  return FormatCount(bytes) + " B";
}

std::string FormatSeconds(double seconds) {
  const double size = std::fabs(seconds);
  if (size == 0) return "0 s";
  if (size < 1e-3) return Significant(seconds * 1e6) + " µs";
  if (size < 1) return Significant(seconds * 1e3) + " ms";
  if (size < 120) return Significant(seconds) + " s";
  if (size < 7200) return Significant(seconds / 60) + " min";
  if (size < 86400) return Significant(seconds / 3600) + " h";
  return Significant(seconds / 86400) + " d";
}

std::string FormatShare(double share) {
  const double percent = 100 * share;
  const bool whole = std::fabs(percent - std::round(percent)) < 1e-9;
  return whole ? fmt::format("{:.0f}%", percent) : fmt::format("{:.1f}%", percent);
}

std::string FormatShare(double share, std::optional<double> low, std::optional<double> high) {
  if (!low || !high) return FormatShare(share);
  return fmt::format("{:.1f}% ({:.1f}–{:.1f})", 100 * share, 100 * *low, 100 * *high);
}

std::string FormatPoints(double difference) {
  const double points = 100 * difference;
  if (std::fabs(points) < 0.05) return "0.0";
  return fmt::format("{}{:.1f}", points < 0 ? "−" : "+", std::fabs(points));
}

std::string FormatRate(double per_second) { return Significant(per_second); }
std::string FormatMoney(double amount) {
  if (amount != 0 && std::fabs(amount) < 1e-4) return amount < 0 ? "> −0.0001" : "< 0.0001";
  return Significant(amount);
}
std::string FormatNumber(double value) { return value == std::round(value) ? FormatCount(value) : Significant(value); }

std::string FormatIn(const std::string& unit, double value) {
  if (unit == "bytes") return FormatBytes(value);
  if (unit == "seconds") return FormatSeconds(value);
  if (unit == "share") return FormatShare(value);
  return unit == "months" ? FormatNumber(value) + " months" : FormatNumber(value);
}

}  // namespace qad

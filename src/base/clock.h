// The time of day.
#pragma once

#include <fmt/chrono.h>

#include <ctime>
#include <string>

namespace qad {

// Now, as ISO 8601 in UTC: 2026-11-24T12:00:00Z.
inline std::string UtcNow() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace qad

// The text of no relation to any domain set that divergence and perplexity of every arm are measured on.
#pragma once

#include <cstddef>
#include <string>

namespace qad {

// The licence texts that every Debian carries, one after another; empty where absent. Their last windows are measured.
inline constexpr size_t kTextWindows = 8, kTextContext = 512;
std::string GeneralText();

}  // namespace qad

// Long text into parts of bounded length, at the best places there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "retrieve/chunker.h"

namespace qad {

// Parts of at most `limit` tokens, cut at blank lines, then sentence ends, then white space. Nothing but white space at
// the cuts is lost.
std::vector<std::string> SplitText(std::string_view text, int limit, const TokenCounter& count_tokens);

std::string_view Trim(std::string_view text);
// Trimmed, and with one blank for each run of white space: a text that begins no line of its own.
std::string SingleSpaced(std::string_view text);

}  // namespace qad

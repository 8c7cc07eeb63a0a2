// English words that say nothing about a text's subject.
#pragma once

#include <string_view>

namespace qad {

// In lower case: "how", "the", "does" and 83 others.
bool IsFunctionWord(std::string_view word);

}  // namespace qad

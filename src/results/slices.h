// Names of slices are paths: "facts/stable" lies below "facts".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad {

// Whether `slice` is `pattern` or lies below it: "facts" matches "facts" and "facts/stable"; "all" matches every slice.
bool SliceMatches(const std::string& slice, const std::string& pattern);

// "facts" of "facts/stable".
std::string TopSlice(const std::string& slice);

// Whether one of its words is this one: "facts/changed" and "changed-prices" have "changed", "facts/unchanged" has not.
bool HasWord(std::string_view slice, std::string_view word);

// Whether others of the slices lie below this one ("facts" where there is "facts/stable"): it is their union.
bool IsUnion(const std::vector<std::string>& slices, const std::string& slice);

}  // namespace qad

// "did you mean …": the nearest of the known words.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

// Edit distance with transpositions (Damerau–Levenshtein, optimal string alignment).
int EditDistance(std::string_view a, std::string_view b);

// "; did you mean 'r'?", or "" where nothing is near. A word that contains another counts as near ("rank" and "r" do
// not).
std::string Suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace qad

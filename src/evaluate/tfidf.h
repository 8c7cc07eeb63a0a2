// Texts as weighted words: term frequency × inverse document frequency, as scikit-learn's TfidfVectorizer by default:
// idf = ln((1 + n)/(1 + df)) + 1, rows of length 1. Words are those of NormalizedWords, of two bytes or more.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad {

using SparseVector = std::vector<std::pair<int, double>>;  // (column, weight), columns ascending

class TfIdf {
 public:
  explicit TfIdf(std::span<const std::string> texts);
  // Words that were not in the texts are ignored; without any known word the vector is empty.
  SparseVector Transform(std::string_view text) const;
  int columns() const { return static_cast<int>(idf_.size()); }

 private:
  std::map<std::string, int, std::less<>> column_;
  std::vector<double> idf_;
};

double Dot(const SparseVector& a, const SparseVector& b);

}  // namespace qad

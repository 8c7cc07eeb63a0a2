#include "evaluate/tfidf.h"

#include <cmath>
#include <set>

#include "evaluate/words.h"

namespace qad {

TfIdf::TfIdf(std::span<const std::string> texts) {
  std::map<std::string, int, std::less<>> documents;
  for (const std::string& text : texts) {
    const std::vector<std::string> words = NormalizedWords(text);
    for (const std::string& word : std::set<std::string>(words.begin(), words.end()))
      if (word.size() >= 2) ++documents[word];
  }
  for (const auto& [word, count] : documents) {
    column_[word] = static_cast<int>(idf_.size());
    idf_.push_back(std::log((1.0 + static_cast<double>(texts.size())) / (1.0 + count)) + 1);
  }
}

SparseVector TfIdf::Transform(std::string_view text) const {
  std::map<int, double> weights;
  for (const std::string& word : NormalizedWords(text))
    if (const auto found = column_.find(word); found != column_.end())
      weights[found->second] += idf_[static_cast<size_t>(found->second)];
  double squares = 0;
  for (const auto& [column, weight] : weights) squares += weight * weight;
  SparseVector row(weights.begin(), weights.end());
  for (auto& [column, weight] : row) weight /= std::sqrt(squares);
  return row;
}

double Dot(const SparseVector& a, const SparseVector& b) {
  double sum = 0;
  for (auto left = a.begin(), right = b.begin(); left != a.end() && right != b.end();) {
    if (left->first == right->first)
      sum += left++->second * right++->second;
    else if (left->first < right->first)
      ++left;
    else
      ++right;
  }
  return sum;
}

}  // namespace qad

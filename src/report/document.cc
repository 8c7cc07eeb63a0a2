#include "report/document.h"

#include <algorithm>
#include <array>

namespace qad {

Text VerdictText(const std::string& word) {
  static constexpr std::array<std::string_view, 6> kGood = {"pass", "better", "shown", "equivalent", "fits", "kept"};
  static constexpr std::array<std::string_view, 5> kBad = {"fail", "worse", "not shown", "does not fit", "lost"};
  if (std::find(kGood.begin(), kGood.end(), word) != kGood.end()) return {word, Style::kGood};
  if (std::find(kBad.begin(), kBad.end(), word) != kBad.end()) return {word, Style::kBad};
  return {word, Style::kUnsure};
}

// Blocks are made in place: GCC 12 takes a moved variant for uninitialized.
void Document::Section(std::string text) {
  blocks.emplace_back(std::in_place_type<Heading>, Heading{2, std::move(text)});
}
void Document::Subsection(std::string text) {
  blocks.emplace_back(std::in_place_type<Heading>, Heading{3, std::move(text)});
}
void Document::Say(Text text, Tone tone) {
  blocks.emplace_back(std::in_place_type<Paragraph>, Paragraph{std::move(text), tone});
}
void Document::Add(Bullets bullets) { blocks.emplace_back(std::in_place_type<Bullets>, std::move(bullets)); }
void Document::Add(CodeBlock code) { blocks.emplace_back(std::in_place_type<CodeBlock>, std::move(code)); }
void Document::Add(Table table) { blocks.emplace_back(std::in_place_type<Table>, std::move(table)); }
void Document::Add(Picture picture) { blocks.emplace_back(std::in_place_type<Picture>, std::move(picture)); }
void Document::Add(Fold fold) { blocks.emplace_back(std::in_place_type<Fold>, std::move(fold)); }

}  // namespace qad

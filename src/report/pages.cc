#include "report/pages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace qad {
std::string ManifestText(const Results& results, const char* object, const char* key) {
  const auto inner = results.manifest.find(object);
  if (inner == results.manifest.end() || !inner->is_object()) return "";
  const auto found = inner->find(key);
  return found != inner->end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<std::string> ArmsWithRows(const Results& results, std::string_view slice) {
  std::vector<std::string> arms;
  for (const Row& row : results.rows)
    if (row.slice == slice && std::find(arms.begin(), arms.end(), row.arm) == arms.end()) arms.push_back(row.arm);
  return arms;
}

std::string ModelName(const Pack& pack) {
  std::string name = ManifestText(pack.results, "model", "name");
  if (!name.empty()) return name;
  return pack.memory ? pack.memory->title : "model";
}

double ConfidenceOf(const Results& results) {
  if (const auto eval = results.settings.find("eval"); eval != results.settings.end() && eval->is_object())
    if (const auto given = eval->find("confidence"); given != eval->end() && given->is_number())
      return given->get<double>();
  return 0.95;
}

std::string ConfidenceText(const Results& results) { return fmt::format("{:.4g}%", 100 * ConfidenceOf(results)); }

std::optional<double> FloorOf(const Pack& pack, const std::string& slice) {
  if (pack.decision)
    for (const RequiredSlice& required : pack.decision->required)
      if (required.slice == slice) return required.floor;
  return std::nullopt;
}

size_t ColourOf(const Results& results, const std::string& arm) {
  for (size_t i = 0; i < results.arms.size(); ++i)
    if (results.arms[i].name == arm) return i;
  return 0;
}

bool IsRecommended(const Pack& pack, const std::string& arm) {
  return pack.decision && !arm.empty() && pack.decision->recommended == arm;
}

void SayPartial(const Pack& pack, Document& page) {
  if (pack.results.partial)
    page.Say(
        "Partial run: items or steps were limited by a flag. It shows that every part works; its figures decide "
        "nothing.",
        Tone::kWarning);
}

void SaySourceFormat(const Pack& pack, Document& page) {
  const std::string format = ManifestText(pack.results, "model", "stored_format");
  const bool quantized = format.starts_with("q") || format.starts_with("Q") ||
                         format.find("int") != std::string::npos || format.starts_with("nf4") ||
                         format.starts_with("affine");
  if (!quantized) return;
  page.Say(fmt::format(
               "The source of {} already held its weights in {}; the base is these, decoded. Formats on the same grid "
               "lose almost nothing on them, so a loss of quality by quantization is understated here: an "
               "off-grid model is the fair test.",
               ModelName(pack), format),
           Tone::kNote);
}

Text Missing() { return Muted("–"); }

Text ShareCell(const Row* row) { return row ? Text(FormatShare(row->value, row->low, row->high)) : Missing(); }
Text BytesCell(const Row* row) { return row ? Text(FormatBytes(row->value)) : Missing(); }
Text SecondsCell(const Row* row) { return row ? Text(FormatSeconds(row->value)) : Missing(); }
Text RateCell(const Row* row) { return row ? Text(FormatRate(row->value)) : Missing(); }
Text NumberCell(const Row* row) { return row ? Text(FormatNumber(row->value)) : Missing(); }

Text SpreadCell(const Row* row, std::string (*format)(double)) {
  if (!row) return Missing();
  const std::string value = format(row->value);
  if (!row->low || !row->high) return value;
  std::string low = format(*row->low), high = format(*row->high);
  // "135 ms (128–142)": the unit once where all three have the same.
  const auto unit = [](const std::string& text) { return text.substr(std::min(text.size(), text.rfind(' '))); };
  if (unit(low) == unit(value) && unit(high) == unit(value)) {
    low.resize(low.size() - unit(value).size());
    high.resize(high.size() - unit(value).size());
  }
  return fmt::format("{} ({}{}{})", value, low, *row->low < 0 ? " to " : "–", high);
}

}  // namespace qad

#include "report/pages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace qad {
namespace {

std::string TextAt(const Json& json, const char* object, const char* key) {
  const auto inner = json.find(object);
  if (inner == json.end() || !inner->is_object()) return "";
  const auto found = inner->find(key);
  return found != inner->end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::string ModelName(const Pack& pack) {
  const std::string name = TextAt(pack.results.manifest, "model", "name");
  if (!name.empty()) return name;
  return pack.memory ? pack.memory->title : "model";
}

std::vector<std::string> LeafSlices(const Results& results) {
  std::vector<std::string> leaves = results.Slices();
  const std::vector<std::string> all = leaves;
  std::erase_if(leaves, [&](const std::string& slice) {
    return std::any_of(all.begin(), all.end(), [&](const auto& other) { return other.starts_with(slice + "/"); });
  });
  return leaves;
}

std::string JudgedMetric(const Pack& pack, const std::string& slice) {
  if (pack.decision) {
    for (const RequiredSlice& required : pack.decision->required)
      if (required.slice == slice) return required.metric;
    for (const TopicAnswer& topic : pack.decision->topics)
      if (topic.slice == slice) return topic.metric;
  }
  std::string first;
  for (const char* metric : {"exact", "contains", "correct_refusal", ""})
    for (const Row& row : pack.results.rows)
      if (row.slice == slice && (row.metric == metric || !*metric) && first.empty()) first = row.metric;
  return first;
}

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
  const std::string format = TextAt(pack.results.manifest, "model", "source_format");
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
  if (!row->low || !row->high) return format(row->value);
  return fmt::format("{} ({} to {})", format(row->value), format(*row->low), format(*row->high));
}

}  // namespace qad

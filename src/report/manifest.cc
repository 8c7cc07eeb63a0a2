// How the run was made, its leaks, and what others published, all from the manifest.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/benchmark_tables.h"

namespace qad {
namespace {

constexpr const char *kPublished = "published", *kLeaks = "leaks";
constexpr size_t kMostLeaks = 20;  // shown of those found

std::string ValueText(const std::string& key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() && key.ends_with("_bytes")) return FormatBytes(value.get<double>());
  if (value.is_number_integer())
    return key.find("seed") == std::string::npos ? FormatCount(value.get<double>()) : value.dump();
  if (value.is_number()) return FormatNumber(value.get<double>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_array() && value.empty()) return "none";
  if (value.is_array() && value.front().is_structured())
    return FormatCount(static_cast<double>(value.size())) + " entries, listed in results.json";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Flatten(const std::string& path, const Json& value, Table& table) {
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) Flatten(path.empty() ? key : path + "." + key, child, table);
    return;
  }
  table.rows.push_back({CodeText(path), ValueText(path, value)});
}

// A list of objects, and not an empty one.
bool HasEntries(const Json& manifest, const char* key) {
  const auto found = manifest.find(key);
  return found != manifest.end() && found->is_array() && !found->empty() &&
         std::ranges::all_of(*found, [](const Json& entry) { return entry.is_object(); });
}

std::string StringOf(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string NumberOf(const Json& entry, const char* key, const char* format) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_number() ? fmt::format(fmt::runtime(format), found->get<double>()) : "–";
}

std::vector<Text> PublishedRow(const Results& results, const Json& entry) {
  const ArmInfo* arm = results.Arm(StringOf(entry, "arm"));  // ours that it is beside
  std::vector<Text> cells = {StringOf(entry, "row"), NumberOf(entry, "gigabytes", "{:.6f}"),
                             NumberOf(entry, "tokens_per_second", "{:.3f}")};
  if (!arm) {
    cells.insert(cells.end(), {Missing(), Missing(), Missing(), Missing()});
    return cells;
  }
  // An adapter is part of what is loaded.
  auto bytes = results.Value(arm->name, kMemorySlice, "weights_bytes");
  if (bytes) *bytes += results.Value(arm->name, kMemorySlice, "adapter_bytes").value_or(0);
  const auto rate = results.Value(arm->name, kSpeedSlice, "decode_tokens_per_second");
  cells.push_back(arm->name);
  cells.push_back(bytes ? Text(fmt::format("{:.6f}", *bytes / (1 << 30))) : Missing());
  cells.push_back(bytes ? Text(FormatCount(*bytes)) : Missing());
  cells.push_back(rate ? Text(FormatCount(*rate)) : Missing());
  return cells;
}

}  // namespace

Table ManifestTable(const Json& manifest) {
  Table table{{{"what"}, {"value"}}, {}, "", {}};
  Json shown = manifest;
  if (shown.is_object()) shown.erase(kPublished);
  if (HasEntries(shown, kLeaks)) shown.erase(kLeaks);  // they have a section of their own
  Flatten("", shown, table);
  return table;
}

void SayLeaks(const Results& results, Document& page) {
  if (!HasEntries(results.manifest, kLeaks)) return;
  const Json& leaks = results.manifest[kLeaks];
  page.Section("Leaks");
  page.Say(
      "Evaluation items whose question also stands in training data, calibration texts or documents. Exact: the same "
      "bytes; normalized: the same words; near: similar words (similarity 1 is the same).");
  Table table{{{"item"}, {"is in"}, {"as"}, {"kind"}, {"similarity", Align::kRight}}, {}, "", {}};
  for (size_t i = 0; i < std::min(leaks.size(), kMostLeaks); ++i)
    table.rows.push_back({StringOf(leaks[i], "item"), StringOf(leaks[i], "corpus"), StringOf(leaks[i], "other"),
                          StringOf(leaks[i], "kind"), NumberOf(leaks[i], "similarity", "{:.2f}")});
  page.Add(std::move(table));
  if (leaks.size() > kMostLeaks)
    page.Say(fmt::format("And {} more, in results.json.", leaks.size() - kMostLeaks), Tone::kNote);
}

void SayPublished(const Results& results, Document& page) {
  if (!HasEntries(results.manifest, kPublished)) return;
  page.Section("Beside published figures");
  Table table{{{"published row"},
               {"GiB", Align::kRight},
               {"tok/s", Align::kRight},
               {"our arm"},
               {"GiB, ours", Align::kRight},
               {"bytes, ours", Align::kRight},
               {"tok/s, ours", Align::kRight}},
              {},
              "",
              {}};
  Bullets notes;
  for (const Json& entry : results.manifest[kPublished]) {
    table.rows.push_back(PublishedRow(results, entry));
    if (const std::string note = StringOf(entry, "note"); !note.empty())
      notes.items.push_back(Strong(StringOf(entry, "row")) + ": " + note);
  }
  page.Add(std::move(table));
  page.Say(
      "Ours are bytes as laid out in memory in this run: norms and biases in f32, int8 in tiles of 16 rows of 32 with "
      "one f32 scale each, every group of tensors padded to 64 bytes, an adapter in f32 on top. Published speeds come "
      "from another machine and another engine: no ratio of the two speeds means anything.");
  if (!notes.items.empty()) page.Add(std::move(notes));
}

}  // namespace qad

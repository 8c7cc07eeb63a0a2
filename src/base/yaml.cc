#include "base/yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/suggest.h"

namespace qad {

void YamlErrors::Add(const YAML::Mark& mark, const std::string& message) {
  entries_.push_back(
      {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1, message});  // an empty file has no place
}

void YamlErrors::Throw() const {
  if (entries_.empty()) return;
  auto sorted = entries_;
  std::ranges::stable_sort(
      sorted, [](const Entry& a, const Entry& b) { return std::pair(a.line, a.column) < std::pair(b.line, b.column); });
  std::string text;
  for (const Entry& entry : sorted)
    text += fmt::format("{}{}:{}:{}: {}", text.empty() ? "" : "\n", file_, entry.line, entry.column, entry.message);
  throw Error(ErrorKind::kUsage, text);
}

YAML::Node LoadYaml(const std::filesystem::path& path) {
  const std::string text = ReadTextFile(path, 1 << 20);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      Fail(ErrorKind::kUsage, "{}:{}:1: a second document begins here; a configuration is one", path.string(),
           documents[1].Mark().line + 1);
    return documents.empty() ? YAML::Node(YAML::NodeType::Map) : documents[0];
  } catch (const YAML::Exception& error) {
    Fail(ErrorKind::kUsage, "{}:{}:{}: {}", path.string(), error.mark.line + 1, error.mark.column + 1, error.msg);
  }
}

YamlMap::YamlMap(const YAML::Node& node, std::string path, YamlErrors& errors, std::map<std::string, std::string> hints)
    : node_(node), path_(std::move(path)), errors_(errors), hints_(std::move(hints)) {
  if (!node_.IsDefined() || node_.IsNull()) {
    node_ = YAML::Node(YAML::NodeType::Map);
    return;
  }
  if (!node_.IsMap()) {
    errors_.Add(node_.Mark(),
                fmt::format("{}: expected a mapping of keys to values", path_.empty() ? "the document" : path_));
    node_ = YAML::Node(YAML::NodeType::Map);
    return;
  }
  std::set<std::string> seen;
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar())
      errors_.Add(pair.first.Mark(), fmt::format("{}: a key must be a word", path_));
    else if (!seen.insert(pair.first.Scalar()).second)
      errors_.Add(pair.first.Mark(), fmt::format("{}: duplicate key", Name(pair.first.Scalar())));
  }
}

// Every key that no getter asked for is unknown.
YamlMap::~YamlMap() {
  const std::vector<std::string> known(known_.begin(), known_.end());
  std::set<std::string> reported;
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar()) continue;
    const std::string key = pair.first.Scalar();
    if (known_.contains(key) || !reported.insert(key).second) continue;
    const auto hint = hints_.find(key);
    const std::string suggestion =
        hint != hints_.end() ? fmt::format("; did you mean '{}'?", hint->second) : Suggestion(key, known);
    errors_.Add(pair.first.Mark(), fmt::format("{}: unknown key{}", Name(key), suggestion));
  }
}

std::vector<std::string> YamlMap::Keys() const {
  std::vector<std::string> keys;
  for (const auto& pair : node_)
    if (pair.first.IsScalar()) keys.push_back(pair.first.Scalar());
  return keys;
}

YAML::Node YamlMap::Node(const std::string& key) {
  known_.insert(key);
  for (const auto& pair : node_)
    if (pair.first.IsScalar() && pair.first.Scalar() == key) return pair.second;
  return YAML::Node(YAML::NodeType::Undefined);
}

bool YamlMap::Has(const std::string& key) {
  const YAML::Node node = Node(key);
  return node.IsDefined() && !node.IsNull();
}

void YamlMap::Wrong(const std::string& key, const std::string& expected) {
  const YAML::Node node = Node(key);
  if (!node.IsDefined()) {
    errors_.Add(mark(), fmt::format("{}: missing, expected {}", Name(key), expected));
    return;
  }
  const std::string found = node.IsScalar() ? "'" + node.Scalar() + "'" : node.IsMap() ? "a mapping" : "a list";
  errors_.Add(node.Mark(), fmt::format("{}: {} given, expected {}", Name(key), found, expected));
}

std::optional<std::string> YamlMap::Scalar(const std::string& key, const std::string& expected) {
  if (!Has(key)) return std::nullopt;
  const YAML::Node node = Node(key);
  if (!node.IsScalar()) {
    Wrong(key, expected);
    return std::nullopt;
  }
  return node.Scalar();
}

void YamlMap::Int(const std::string& key, int64_t low, int64_t high, int64_t& value) {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  const auto text = Scalar(key, expected);
  if (!text) return;
  const auto parsed = ParseInteger(*text);
  if (parsed && *parsed >= low && *parsed <= high)
    value = *parsed;
  else
    Wrong(key, expected);
}

void YamlMap::Int(const std::string& key, int low, int high, int& value) {
  int64_t wide = value;
  Int(key, int64_t{low}, int64_t{high}, wide);
  value = static_cast<int>(wide);
}

void YamlMap::Number(const std::string& key, double low, double high, double& value) {
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  const auto text = Scalar(key, expected);
  if (!text) return;
  const auto parsed = ParseNumber(*text);
  if (parsed && *parsed >= low && *parsed <= high)
    value = *parsed;
  else
    Wrong(key, expected);
}

void YamlMap::Bool(const std::string& key, bool& value) {
  const auto text = Scalar(key, "true or false");
  if (!text) return;
  if (*text == "true" || *text == "false")
    value = *text == "true";
  else
    Wrong(key, "true or false");
}

void YamlMap::String(const std::string& key, std::string& value) {
  if (const auto text = Scalar(key, "a text")) value = *text;
}

void YamlMap::Path(const std::string& key, const std::filesystem::path& base, std::filesystem::path& value) {
  const auto text = Scalar(key, "a path");
  if (!text) return;
  if (text->empty())
    Wrong(key, "a path");
  else
    value = std::filesystem::path(*text).is_absolute() ? std::filesystem::path(*text) : base / *text;
}

void YamlMap::Strings(const std::string& key, std::vector<std::string>& value) {
  if (!Has(key)) return;
  const YAML::Node node = Node(key);
  if (node.IsScalar()) {
    value = {node.Scalar()};
    return;
  }
  std::vector<std::string> list;
  bool good = node.IsSequence();
  for (size_t i = 0; good && i < node.size(); ++i) {
    good = node[i].IsScalar();
    if (good) list.push_back(node[i].Scalar());
  }
  if (good)
    value = std::move(list);
  else
    Wrong(key, "a list of texts");
}

void YamlMap::Ints(const std::string& key, int low, int high, std::vector<int>& value) {
  std::vector<std::string> texts;
  Strings(key, texts);
  if (texts.empty()) return;
  std::vector<int> list;
  for (const std::string& text : texts) {
    const std::optional<int64_t> number = ParseInteger(text);
    if (!number || *number < low || *number > high)
      return Wrong(key, fmt::format("whole numbers from {} to {}", low, high));
    list.push_back(static_cast<int>(*number));
  }
  value = std::move(list);
}

void YamlMap::Choice(const std::string& key, const std::vector<std::string>& allowed, std::string& value) {
  std::string expected;
  for (const std::string& word : allowed) expected += (expected.empty() ? "" : " | ") + word;
  const auto text = Scalar(key, expected);
  if (!text) return;
  if (std::ranges::find(allowed, *text) != allowed.end())
    value = *text;
  else
    Wrong(key, expected + Suggestion(*text, allowed));
}

void YamlMap::Bytes(const std::string& key, uint64_t& value) {
  const auto text = Scalar(key, "bytes, e.g. \"16GiB\"");
  if (!text || *text == "auto") return;
  if (const auto parsed = ParseBytes(*text))
    value = *parsed;
  else
    Wrong(key, "auto, or bytes, e.g. \"16GiB\" or \"90MB\"");
}

void YamlMap::Seconds(const std::string& key, double& value) {
  const auto text = Scalar(key, "a time, e.g. 5s");
  if (!text) return;
  if (const auto parsed = ParseSeconds(*text))
    value = *parsed;
  else
    Wrong(key, "a time, e.g. 200ms, 5s, 10min, 3h or 1d");
}

std::optional<int64_t> ParseInteger(const std::string& text) {
  const std::string digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<double> ParseNumber(const std::string& text) {
  const size_t first = text.starts_with('-') ? 1 : 0;
  if (text.size() > first + 1 && text[first] == '0' && text[first + 1] >= '0' && text[first + 1] <= '9')
    return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

namespace {

// A number and the unit behind it.
std::optional<std::pair<double, std::string>> SplitUnit(const std::string& text) {
  const size_t unit = text.find_first_not_of("0123456789.");
  const auto number = ParseNumber(text.substr(0, unit));
  if (!number) return std::nullopt;
  std::string rest = unit == std::string::npos ? "" : text.substr(unit);
  rest.erase(0, rest.find_first_not_of(' ') == std::string::npos ? rest.size() : rest.find_first_not_of(' '));
  return std::pair(*number, rest);
}

}  // namespace

std::optional<uint64_t> ParseBytes(const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},     {"B", 1},    {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
      {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
  const auto split = SplitUnit(text);
  if (!split || !kUnits.contains(split->second)) return std::nullopt;
  const double bytes = split->first * kUnits.at(split->second);
  return bytes >= 0 && bytes < 0x1p62 ? std::optional(static_cast<uint64_t>(bytes)) : std::nullopt;
}

std::optional<double> ParseSeconds(const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"", 1},   {"s", 1},    {"ms", 1e-3}, {"us", 1e-6}, {"min", 60},
                                                       {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
  const auto split = SplitUnit(text);
  if (!split || !kUnits.contains(split->second)) return std::nullopt;
  return split->first * kUnits.at(split->second);
}

}  // namespace qad

#include "base/json.h"

#include <cmath>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace qad {
namespace {

// Refuses depth and duplicates while parsing, before anything deep is built.
class Guard {
 public:
  explicit Guard(const std::string& where) : where_(where) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        keys_.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        if (depth >= kMaxJsonDepth) FailInput("{}: JSON is nested deeper than {} levels", where_, kMaxJsonDepth);
        break;
      case Json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys_.back().insert(parsed.get<std::string>()).second)
          FailInput("{}: duplicate key \"{}\"", where_, parsed.get<std::string>());
        break;
      default:
        break;
    }
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::unordered_set<std::string>> keys_;
};

template <typename AnyJson>
void RefuseNonFinite(const AnyJson& json) {
  if (json.is_number_float() && !std::isfinite(json.template get<double>()))
    Fail(ErrorKind::kNumeric, "a result is NaN or infinite and cannot be written as JSON");
  if (json.is_structured())
    for (const auto& child : json) RefuseNonFinite(child);
}

template <typename AnyJson>
std::string Dump(const AnyJson& json, int indent) {
  RefuseNonFinite(json);
  return json.dump(indent, ' ', false, AnyJson::error_handler_t::replace) + "\n";
}

// "parse error at line 1, column 7: …" of a text of one line: where it stands says the line already.
std::string WithoutLine(std::string_view what) {
  std::string text(what);
  const std::string_view first = "at line 1, column ";
  if (const size_t at = text.find(first); at != std::string::npos) text.replace(at, first.size(), "at column ");
  return text;
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) {
  // The parser takes a NUL for the end of its input and would not look behind it.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    FailInput("{}: not valid JSON: a NUL byte at offset {}", where, nul);
  Guard guard(where);
  try {
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const Json::exception& error) {
    std::string_view what = error.what();
    if (const size_t close = what.find("] "); close != std::string_view::npos) what.remove_prefix(close + 2);
    const bool one_line = text.find('\n') == std::string_view::npos;
    FailInput("{}: not valid JSON: {}", where, one_line ? WithoutLine(what) : std::string(what));
  }
}

Json ReadJsonFile(const std::filesystem::path& path, uint64_t limit) {
  return ParseJson(ReadTextFile(path, limit), path.string());
}

JsonObject::JsonObject(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {
  if (!json.is_object()) FailInput("{}: expected a JSON object, found {}", where_, json.type_name());
}

void JsonObject::Wrong(const std::string& key, const std::string& expected) const {
  const auto found = json_->find(key);
  if (found == json_->end()) FailInput("{}: \"{}\" is missing; expected {}", where_, key, expected);
  std::string shown =
      found->is_structured() ? found->type_name() : found->dump(-1, ' ', true, Json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 60) + "…";
  FailInput("{}: \"{}\" is {}; expected {}", where_, key, shown, expected);
}

bool JsonObject::Has(const std::string& key) const {
  const auto found = json_->find(key);
  return found != json_->end() && !found->is_null();
}

int64_t JsonObject::Int(const std::string& key, int64_t low, int64_t high) const {
  const auto found = json_->find(key);
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  if (found == json_->end() || !found->is_number_integer()) Wrong(key, expected);
  if (found->is_number_unsigned() &&
      found->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    Wrong(key, expected);
  const int64_t value = found->get<int64_t>();
  if (value < low || value > high) Wrong(key, expected);
  return value;
}

int64_t JsonObject::IntOr(const std::string& key, int64_t low, int64_t high, int64_t otherwise) const {
  return Has(key) ? Int(key, low, high) : otherwise;
}

double JsonObject::Number(const std::string& key, double low, double high) const {
  const auto found = json_->find(key);
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  if (found == json_->end() || !found->is_number()) Wrong(key, expected);
  const double value = found->get<double>();
  if (!(value >= low && value <= high)) Wrong(key, expected);
  return value;
}

double JsonObject::NumberOr(const std::string& key, double low, double high, double otherwise) const {
  return Has(key) ? Number(key, low, high) : otherwise;
}

bool JsonObject::BoolOr(const std::string& key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  if (!At(key).is_boolean()) Wrong(key, "true or false");
  return At(key).get<bool>();
}

std::string JsonObject::String(const std::string& key) const {
  const auto found = json_->find(key);
  if (found == json_->end() || !found->is_string()) Wrong(key, "a string");
  return found->get<std::string>();
}

std::string JsonObject::StringOr(const std::string& key, const std::string& otherwise) const {
  return Has(key) ? String(key) : otherwise;
}

const Json& JsonObject::At(const std::string& key) const {
  const auto found = json_->find(key);
  if (found == json_->end()) Wrong(key, "a value");
  return *found;
}

JsonObject JsonObject::Object(const std::string& key) const { return JsonObject(At(key), where_ + ": " + key); }

std::string DumpJson(const Json& json, int indent) { return Dump(json, indent); }
std::string DumpJson(const OrderedJson& json, int indent) { return Dump(json, indent); }

}  // namespace qad

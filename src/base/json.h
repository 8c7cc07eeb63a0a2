// JSON from outside, read with suspicion: bounded depth, no duplicate keys, typed getters with ranges.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace qad {

using Json = nlohmann::json;                 // keys sorted
using OrderedJson = nlohmann::ordered_json;  // keys as written

inline constexpr int kMaxJsonDepth = 64;

// Parses one document. `where` (a file, or file:line) begins every error message.
// Errors (kInput): syntax, depth beyond kMaxJsonDepth, duplicate keys, invalid UTF-8, anything after the document.
Json ParseJson(std::string_view text, const std::string& where);
Json ReadJsonFile(const std::filesystem::path& path, uint64_t limit = uint64_t{100} << 20);

// A view of one JSON object with checked getters. nlohmann's get<size_t>() turns −1 into 2^64−1 and 1.5 into 1 without
// a word; these do not.
class JsonObject {
 public:
  // Errors (kInput): `json` is not an object.
  JsonObject(const Json& json, std::string where);

  bool Has(const std::string& key) const;  // present and not null
  int64_t Int(const std::string& key, int64_t low, int64_t high) const;
  int64_t IntOr(const std::string& key, int64_t low, int64_t high, int64_t otherwise) const;
  double Number(const std::string& key, double low, double high) const;
  double NumberOr(const std::string& key, double low, double high, double otherwise) const;
  bool BoolOr(const std::string& key, bool otherwise) const;
  std::string String(const std::string& key) const;
  std::string StringOr(const std::string& key, const std::string& otherwise) const;
  const Json& At(const std::string& key) const;  // error where missing
  JsonObject Object(const std::string& key) const;
  const std::string& where() const { return where_; }
  const Json& json() const { return *json_; }

 private:
  [[noreturn]] void Wrong(const std::string& key, const std::string& expected) const;
  const Json* json_;
  std::string where_;
};

// Serialized with `indent` spaces (−1: one line) and a final newline; NaN and infinity are refused, not turned into
// null.
std::string DumpJson(const Json& json, int indent = 2);
std::string DumpJson(const OrderedJson& json, int indent = 2);

}  // namespace qad

// YAML read strictly: one document, no duplicate or unknown keys, types and ranges checked, and all errors at once with
// line and column. yaml-cpp by itself accepts duplicate keys, ignores a second document and reads 010 as 8 or as 10.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qad {

// Collects errors; Throw() raises them together, in the order of the file.
class YamlErrors {
 public:
  explicit YamlErrors(std::string file) : file_(std::move(file)) {}
  void Add(const YAML::Mark& mark, const std::string& message);
  // Errors (kUsage): all that were added, one a line, "file:line:column: message".
  void Throw() const;

 private:
  struct Entry {
    int line, column;
    std::string message;
  };
  std::string file_;
  std::vector<Entry> entries_;
};

// Errors (kInput: missing file; kUsage: syntax, a second document).
YAML::Node LoadYaml(const std::filesystem::path& path);

// One mapping of the file. Every getter marks its key as known; Finish() reports the keys nobody asked for.
// A missing key (or null) leaves the default in place; a wrong value is reported and leaves it too.
class YamlMap {
 public:
  // A null node is an empty mapping. `hints` maps words people may write to the key they mean (rank → r).
  YamlMap(const YAML::Node& node, std::string path, YamlErrors& errors, std::map<std::string, std::string> hints = {});
  ~YamlMap();
  YamlMap(const YamlMap&) = delete;
  YamlMap& operator=(const YamlMap&) = delete;

  bool Has(const std::string& key);  // present and not null
  void Int(const std::string& key, int64_t low, int64_t high, int64_t& value);
  void Int(const std::string& key, int low, int high, int& value);
  void Number(const std::string& key, double low, double high, double& value);
  void Bool(const std::string& key, bool& value);
  void String(const std::string& key, std::string& value);
  void Path(const std::string& key, const std::filesystem::path& base, std::filesystem::path& value);
  void Strings(const std::string& key, std::vector<std::string>& value);          // a list, or one string
  void Ints(const std::string& key, int low, int high, std::vector<int>& value);  // a list, or one number
  void Choice(const std::string& key, const std::vector<std::string>& allowed, std::string& value);
  // Bytes: a number, or "16GiB", "90MB" (powers of 1024 with an i, of 1000 without); "auto" leaves 0.
  void Bytes(const std::string& key, uint64_t& value);
  // Seconds: a number, or "5s", "200ms", "1d", "3h", "10min".
  void Seconds(const std::string& key, double& value);
  YAML::Node Node(const std::string& key);  // undefined where missing
  std::vector<std::string> Keys() const;
  const std::string& path() const { return path_; }
  YAML::Mark mark() const { return node_.Mark(); }
  YamlErrors& errors() { return errors_; }
  void Wrong(const std::string& key, const std::string& expected);

  // The path of a key for messages: "lora.r".
  std::string Name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

 private:
  std::optional<std::string> Scalar(const std::string& key, const std::string& expected);
  YAML::Node node_;
  std::string path_;
  YamlErrors& errors_;
  std::map<std::string, std::string> hints_;
  std::set<std::string> known_;
};

// Whole strings only; nullopt where the text is anything else. Integers: decimal, no leading zeros.
std::optional<int64_t> ParseInteger(const std::string& text);
std::optional<double> ParseNumber(const std::string& text);
std::optional<uint64_t> ParseBytes(const std::string& text);
std::optional<double> ParseSeconds(const std::string& text);

}  // namespace qad

// One list of fields per struct serves both directions: for a struct T there is a function
//
//   template <typename Visitor> void Fields(Visitor& visit, T& value) { visit("name", value.name); … }
//
// found by argument-dependent lookup. Fields may be strings, bools, numbers, optionals, such structs, and vectors or
// maps of these. Reading is strict: a missing or wrong field is an error (kInput), except optionals, where missing is
// nullopt.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace qad {

class FieldWriter {
 public:
  template <typename T>
  void operator()(const char* name, T& field) {
    json_[name] = Value(field);
  }

  template <typename T>
  static Json Value(T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;
    } else {
      FieldWriter writer;
      Fields(writer, value);
      return writer.json_;
    }
  }
  template <typename T>
  static Json Value(std::optional<T>& value) {
    return value ? Value(*value) : Json();
  }
  template <typename T>
  static Json Value(std::vector<T>& values) {
    Json list = Json::array();
    for (T& value : values) list.push_back(Value(value));
    return list;
  }
  template <typename T>
  static Json Value(std::map<std::string, T>& values) {
    Json object = Json::object();
    for (auto& [key, value] : values) object[key] = Value(value);
    return object;
  }

 private:
  Json json_ = Json::object();
};

class FieldReader {
 public:
  FieldReader(const Json& json, std::string where) : object_(json, std::move(where)) {}

  template <typename T>
  void operator()(const char* name, std::optional<T>& field) {
    field.reset();
    if (object_.Has(name)) Read(object_.At(name), Place(name), field.emplace());
  }
  template <typename T>
  void operator()(const char* name, T& field) {
    Read(object_.At(name), Place(name), field);
  }

  template <typename T>
  static void Read(const Json& json, const std::string& where, T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      Expect(json.is_string(), where, "a string");
      value = json.get<std::string>();
    } else if constexpr (std::is_same_v<T, bool>) {
      Expect(json.is_boolean(), where, "true or false");
      value = json.get<bool>();
    } else if constexpr (std::is_unsigned_v<T>) {
      Expect(json.is_number_unsigned() || (json.is_number_integer() && json.get<int64_t>() >= 0), where,
             "a whole number from 0");
      value = json.get<T>();
    } else if constexpr (std::is_integral_v<T>) {
      Expect(json.is_number_integer() && FitsSigned(json), where, "a whole number");
      value = json.get<T>();
    } else if constexpr (std::is_floating_point_v<T>) {
      Expect(json.is_number(), where, "a number");
      value = json.get<T>();
    } else {
      FieldReader reader(json, where);
      Fields(reader, value);
    }
  }
  template <typename T>
  static void Read(const Json& json, const std::string& where, std::vector<T>& values) {
    Expect(json.is_array(), where, "a list");
    values.clear();
    for (const Json& element : json) {
      const std::string place = where + "[" + std::to_string(values.size()) + "]";
      Read(element, place, values.emplace_back());
    }
  }
  template <typename T>
  static void Read(const Json& json, const std::string& where, std::map<std::string, T>& values) {
    Expect(json.is_object(), where, "an object");
    values.clear();
    for (const auto& [key, element] : json.items()) Read(element, where + "." + key, values[key]);
  }

 private:
  static bool FitsSigned(const Json& json) {
    return !json.is_number_unsigned() || json.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
  }
  static void Expect(bool right, const std::string& where, const char* expected) {
    if (!right) FailInput("{}: expected {}", where, expected);
  }
  std::string Place(const char* name) const { return object_.where() + ": " + name; }

  JsonObject object_;
};

}  // namespace qad

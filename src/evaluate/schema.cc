#include "evaluate/schema.h"

#include <algorithm>

#include "base/error.h"

namespace qad {
namespace {

// The output as one JSON object or array, white space around it at most; null where it is anything else. The parser is
// the one for files, so that duplicate keys and deep nesting are refused here too.
Json ParseOutput(std::string_view output) {
  try {
    const Json json = ParseJson(output, "output");
    return json.is_structured() ? json : Json();
  } catch (const Error&) {
    return {};
  }
}

std::string AsText(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

bool FieldsFit(const Item& item, const Json& json) {
  if (!json.is_object() || json.size() != item.schema.size()) return false;
  return std::all_of(item.schema.begin(), item.schema.end(), [&](const auto& field) {
    const auto& [name, allowed] = field;
    if (!json.contains(name)) return false;
    return allowed.empty() || std::find(allowed.begin(), allowed.end(), AsText(json[name])) != allowed.end();
  });
}

}  // namespace

Json SchemaReference(const Item& item) {
  const std::string where = fmt::format("item {}: completion", item.id);
  Json json = ParseJson(item.completion, where);
  if (!FieldsFit(item, json))
    FailInput("{}: must be a JSON object with exactly the schema's fields and allowed values; it is {}", where,
              item.completion);
  return json;
}

bool IsJson(std::string_view output) { return ParseOutput(output).is_structured(); }

bool FitsSchema(const Item& item, std::string_view output) {
  const Json json = ParseOutput(output);
  if (!FieldsFit(item, json)) return false;
  const Json reference = SchemaReference(item);
  return std::all_of(item.schema.begin(), item.schema.end(),
                     [&](const auto& field) { return json[field.first].type() == reference[field.first].type(); });
}

bool IsFieldRight(const Item& item, std::string_view output, const std::string& field) {
  const Json json = ParseOutput(output);
  return json.is_object() && json.contains(field) && json[field] == SchemaReference(item)[field];
}

bool AllFieldsRight(const Item& item, std::string_view output) { return ParseOutput(output) == SchemaReference(item); }

}  // namespace qad

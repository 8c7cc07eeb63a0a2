// Answers that must be JSON: one object with the fields of the item's schema.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "text/dataset.h"

namespace qad {

// The reference answer. Errors (kInput): it is no JSON object with exactly the schema's fields and allowed values; the
// item was made wrong, and no answer could be scored against it.
Json SchemaReference(const Item& item);

// One JSON object or array, white space around it at most.
bool IsJson(std::string_view output);
// Exactly the schema's fields, each of the reference's type and among the allowed values.
bool FitsSchema(const Item& item, std::string_view output);
// Parsed, and this field equals the reference's; other fields may be missing or superfluous.
bool IsFieldRight(const Item& item, std::string_view output, const std::string& field);
// Equal to the reference in every field, with no other field.
bool AllFieldsRight(const Item& item, std::string_view output);

}  // namespace qad

// The methods of `qad quantize`, and which options each of them looks at: the one list.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantize/group_model.h"

namespace qad {

struct QuantizeMethod {
  std::string_view name;
  std::optional<GroupMethod> groups;  // of methods that write codes in groups
  std::vector<std::string> options;   // beside those of all
};

const std::vector<QuantizeMethod>& QuantizeMethods();
const QuantizeMethod* FindQuantizeMethod(std::string_view name);  // null where unknown

// Errors (kUsage): an option was given that `method` does not look at, or that counts only beside another.
void RequireOwnOptions(const CLI::App& app, const QuantizeMethod& method);

}  // namespace qad

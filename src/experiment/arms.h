// The short forms of arms: weights × adapter × prompting, e.g. "lora-grounded + rag".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiment/config.h"

namespace qad {

// What came of a short form: an arm, or what is wrong with it.
struct ParsedArm {
  ArmConfig arm;
  std::string error;  // empty where the form is good
};

// `adapters` are those of the configuration; an adapter's arm runs on that adapter's base weights.
ParsedArm ParseArm(std::string_view form, const std::vector<AdapterConfig>& adapters);

}  // namespace qad

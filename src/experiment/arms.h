// The short forms of arms: weights × adapter × prompting, e.g. "lora-grounded + rag", "lora merged int8",
// "lora on gguf:Q4_K_M".
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

// `adapters` are those of the configuration; an adapter's arm runs on that adapter's base weights, or "on" others.
ParsedArm ParseArm(std::string_view form, const std::vector<AdapterConfig>& adapters);

// Every pair of weights and adapter once, whatever the prompting: under the arm that has nothing else, or else under
// the first; and those that are measured on texts alone. No endpoints, and no other seeds.
std::vector<ArmConfig> FormsOf(const Config& config);

// How the arm serves its adapter: ArmInfo::deployed.
std::string DeploymentOf(const AdapterConfig& adapter, const ArmConfig& arm);

}  // namespace qad

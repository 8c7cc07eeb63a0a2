// Which linear layers an adapter's target_modules name: the one reading of them, for training and for memory math.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/families.h"

namespace qad {

struct LinearModule {
  Role role;
  std::string name;  // Hugging Face's: "model.layers.0.self_attn.q_proj"
};

// As PEFT matches names: `name` is the whole module's, or its end after a dot.
bool EndsWithName(std::string_view module, std::string_view name);

// Places in `modules`, ascending, of those that any target names: "all-linear", a role ("q_proj", "down_proj"), an end
// of a module's name ("c_attn", "mlp.c_proj", "layers.0.self_attn.q_proj"), or "re:" and a regular expression that the
// whole name matches. Of these, where `layers` are given, only those within them. Callers leave the head out. Errors
// (kUsage): a target that names nothing, with near matches and what there is; a layer that the model lacks; no targets
// at all.
std::vector<size_t> SelectTargets(std::span<const LinearModule> modules, std::span<const std::string> targets,
                                  std::span<const int> layers = {});

// Values of modules whose names, or ends of names after a dot, match a regular expression: PEFT's rank_pattern and
// alpha_pattern. One for each module, `otherwise` where none matches. Errors (kUsage): an expression that matches no
// module, two that match the same one; `key` is what the configuration calls them.
std::vector<double> PatternValues(std::span<const LinearModule> modules, const std::map<std::string, double>& patterns,
                                  double otherwise, const std::string& key);

}  // namespace qad

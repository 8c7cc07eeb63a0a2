// Which linear layers an adapter's target_modules name: the one reading of them, for training and for memory math.
#pragma once

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

// Places in `modules`, ascending, of those that any target names: "all-linear", a role ("q_proj", "down_proj"), or an
// end of a module's name ("c_attn", "mlp.c_proj", "layers.0.self_attn.q_proj"). Callers leave the head out.
// Errors (kUsage): a target that names nothing, with near matches and what there is; no targets at all.
std::vector<size_t> SelectTargets(std::span<const LinearModule> modules, std::span<const std::string> targets);

}  // namespace qad

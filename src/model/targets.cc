#include "model/targets.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/suggest.h"

namespace qad {
namespace {

constexpr const char* kAllLinear = "all-linear";

bool Names(const std::string& target, const LinearModule& module) {
  return target == kAllLinear || target == RoleName(module.role) || EndsWithName(module.name, target);
}

[[noreturn]] void FailNoSuchTarget(std::span<const LinearModule> modules, const std::string& target) {
  std::set<std::string> names = {kAllLinear};
  for (const LinearModule& module : modules)
    names.insert({std::string(RoleName(module.role)), module.name.substr(module.name.rfind('.') + 1)});
  const std::vector<std::string> known(names.begin(), names.end());
  std::string listed;
  for (const std::string& name : known) listed += (listed.empty() ? "" : ", ") + name;
  Fail(ErrorKind::kUsage,
       "lora.target_modules: \"{}\" names no linear layer of this model{}; it has {} (the head takes no adapter)",
       target, Suggestion(target, known), listed);
}

}  // namespace

bool EndsWithName(std::string_view module, std::string_view name) {
  return module == name ||
         (module.ends_with(name) && module.size() > name.size() && module[module.size() - name.size() - 1] == '.');
}

std::vector<size_t> SelectTargets(std::span<const LinearModule> modules, std::span<const std::string> targets) {
  if (targets.empty())
    Fail(ErrorKind::kUsage, "lora.target_modules: names nothing; \"{}\" adapts every linear layer", kAllLinear);
  for (const std::string& target : targets)
    if (std::ranges::none_of(modules, [&](const LinearModule& module) { return Names(target, module); }))
      FailNoSuchTarget(modules, target);
  std::vector<size_t> chosen;
  for (size_t i = 0; i < modules.size(); ++i)
    if (std::ranges::any_of(targets, [&](const std::string& target) { return Names(target, modules[i]); }))
      chosen.push_back(i);
  return chosen;
}

}  // namespace qad

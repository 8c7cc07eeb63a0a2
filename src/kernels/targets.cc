#include "kernels/targets.h"

#include <hwy/highway.h>

#include "base/error.h"

namespace qad {

std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  hwy::SetSupportedTargetsForTest(0);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

std::string CurrentTarget() {
  const auto targets = hwy::SupportedAndGeneratedTargets();
  return targets.empty() ? "SCALAR" : hwy::TargetName(targets.front());
}

void ForceTarget(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (name != "auto") {
    int64_t chosen = 0;
    std::string known;
    for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
      if (name == hwy::TargetName(target)) chosen = target;
      known += known.empty() ? "" : ", ";
      known += hwy::TargetName(target);
    }
    if (chosen == 0)
      Fail(ErrorKind::kUsage, "target '{}' is not supported by this CPU and build; supported: auto, {}", name, known);
    hwy::SetSupportedTargetsForTest(chosen);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace qad

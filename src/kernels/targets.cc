#include "kernels/targets.h"

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/targets.cc"
#include <hwy/foreach_target.h>
// foreach_target first: it includes this file once per target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qad::HWY_NAMESPACE {

const char* NameOfThisTarget() { return hwy::TargetName(HWY_TARGET); }
// Smaller values are better targets.
bool ThisTargetIsAvx2() { return HWY_TARGET <= HWY_AVX2; }
bool ThisTargetIsAvx512() { return HWY_TARGET <= HWY_AVX3; }

}  // namespace qad::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {

HWY_EXPORT(NameOfThisTarget);
HWY_EXPORT(ThisTargetIsAvx2);
HWY_EXPORT(ThisTargetIsAvx512);

std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  hwy::SetSupportedTargetsForTest(0);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

// Asked through the same dispatch as every kernel.
std::string CurrentTarget() { return HWY_DYNAMIC_DISPATCH(NameOfThisTarget)(); }

// Not hwy::SupportedTargets(), which asks the CPU anew: in a virtual machine that takes microseconds.
bool TargetIsAvx2() { return HWY_DYNAMIC_DISPATCH(ThisTargetIsAvx2)(); }
bool TargetIsAvx512() { return HWY_DYNAMIC_DISPATCH(ThisTargetIsAvx512)(); }

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
      Fail(ErrorKind::kUsage, "QAD_ISA: target '{}' is not supported by this CPU and build; supported: auto, {}", name,
           known);
    hwy::SetSupportedTargetsForTest(chosen);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace qad
#endif  // HWY_ONCE

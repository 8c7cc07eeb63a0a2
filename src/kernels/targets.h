// Which SIMD target runs. Kernels are compiled once per target and chosen at run time by Highway.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad {

// Names of the targets this build has and this CPU supports, best first ("AMX", "AVX3", "AVX2", "SSE4", "SSSE3",
// "SCALAR"). AMX is ours, not Highway's: AVX3 with the tiles of AMX-BF16 for products in bf16 (kernels/panels_bf16.h).
std::vector<std::string> SupportedTargets();
std::string CurrentTarget();
// Whether that is one with AVX2, or AVX-512: code outside of Highway that needs it asks here, so that a forced target
// holds.
bool TargetIsAvx2();
bool TargetIsAvx512();
bool TargetIsAmx();

// Restricts every later kernel call to `name`; "auto" lifts the restriction.
// Errors (kUsage): a target that this build lacks or this CPU does not support; the message lists those it has.
void ForceTarget(std::string_view name);

}  // namespace qad

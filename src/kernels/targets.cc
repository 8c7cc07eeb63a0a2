#include "kernels/targets.h"

#include <array>
#include <atomic>

#include "base/error.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(HWY_COMPILE_ONLY_SCALAR)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define QAD_ASKS_FOR_AMX 1
#else
#define QAD_ASKS_FOR_AMX 0
#endif

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

namespace {

constexpr std::string_view kAmx = "AMX";

// Linux lets a process use the tiles only after it has asked (Documentation/arch/x86/xstate.rst); once is enough.
bool MayUseAmx() {
#if QAD_ASKS_FOR_AMX
  constexpr unsigned kBF16 = 1u << 22, kTile = 1u << 24;       // of CPUID.(7, 0).EDX
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool may = [] {
    std::array<unsigned, 4> r = {};
    return __get_cpuid_count(7, 0, &r[0], &r[1], &r[2], &r[3]) != 0 && (r[3] & (kBF16 | kTile)) == (kBF16 | kTile) &&
           __builtin_cpu_supports("avx512bf16") && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return may;
#else
  return false;
#endif
}

std::atomic<bool> amx_allowed = true;

}  // namespace

std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  if (MayUseAmx()) names.emplace_back(kAmx);
  hwy::SetSupportedTargetsForTest(0);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

// Asked through the same dispatch as every kernel.
std::string CurrentTarget() { return TargetIsAmx() ? std::string(kAmx) : HWY_DYNAMIC_DISPATCH(NameOfThisTarget)(); }

// Not hwy::SupportedTargets(), which asks the CPU anew: in a virtual machine that takes microseconds.
bool TargetIsAvx2() { return HWY_DYNAMIC_DISPATCH(ThisTargetIsAvx2)(); }
bool TargetIsAvx512() { return HWY_DYNAMIC_DISPATCH(ThisTargetIsAvx512)(); }
bool TargetIsAmx() { return amx_allowed.load(std::memory_order_relaxed) && TargetIsAvx512() && MayUseAmx(); }

void ForceTarget(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (name != "auto") {
    const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
    int64_t chosen = name == kAmx && MayUseAmx() ? targets.front() : 0;
    for (const int64_t target : targets)
      if (name == hwy::TargetName(target)) chosen = target;
    if (chosen == 0) {
      std::string known = "auto";
      for (const std::string& each : SupportedTargets()) known += ", " + each;
      Fail(ErrorKind::kUsage, "QAD_ISA: target '{}' is not supported by this CPU and build; supported: {}", name,
           known);
    }
    hwy::SetSupportedTargetsForTest(chosen);
  }
  amx_allowed = name == "auto" || name == kAmx;
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace qad
#endif  // HWY_ONCE

// A model whose linear operations hold whole-number codes in groups, as a Hugging Face folder that GPTQModel,
// transformers and qad read: solved by GPTQ, by AWQ, by both, or rounded to nearest.
#pragma once

#include <array>
#include <filesystem>
#include <string_view>

#include "formats/grouped.h"
#include "quantize/calibration.h"
#include "quantize/gptq.h"
#include "quantize/report.h"

namespace qad {

enum class GroupMethod : uint8_t {
  kRtn,      // round to nearest, scales and zeros by least squares; without texts all inputs count alike
  kGptq,     // error feedback (quantize/gptq.h)
  kAwq,      // inputs scaled first (quantize/awq.h), then as kRtn
  kAwqGptq,  // inputs scaled first, then error feedback
};

inline constexpr std::array kGroupMethods = {GroupMethod::kRtn, GroupMethod::kGptq, GroupMethod::kAwq,
                                             GroupMethod::kAwqGptq};
std::string_view MethodName(GroupMethod method);  // "gptq": on the command line, in arms and in files
// The layout of a method's own tools, and whether its codes have zeros unless asked otherwise.
inline Packing OwnPacking(GroupMethod method) { return method == GroupMethod::kAwq ? Packing::kAwq : Packing::kGptq; }
inline bool IsSymmetric(GroupMethod method) { return method != GroupMethod::kAwq; }
// Whether what rounding leaves is fed back.
inline bool Feeds(GroupMethod method) { return method == GroupMethod::kGptq || method == GroupMethod::kAwqGptq; }

struct GroupModelOptions {
  GroupMethod method = GroupMethod::kGptq;
  Packing packing = Packing::kGptq;
  GroupOptions groups;
  double damping = 0.01;  // of the mean of H's diagonal
  bool act_order = true;  // inputs of large moments first; groups stay as they lie (static groups)
  bool quiet = false;
  int threads = 0;  // 0: all cores
};

// Errors (kInput): group size or packing does not fit a matrix.
void RequireGroupsFit(const ModelFiles& files, const Plan& plan, const GroupModelOptions& options);

// Layer by layer: the block's inputs on the calibration texts are those that the quantized layers before it give (true
// sequential: q, k and v before o, these before gate and up, and so on), of kAwq those of the unquantized ones.
// Embeddings and the head stay dense. An interrupted run goes on behind its last finished layer when it is started
// again with the same arguments. Texts may be missing for kRtn alone. Errors: kInput (as RequireGroupsFit; a family
// that is not run; source quantized already), kUsage (as RequireReplaceable), kNumeric (as MakeFeedback, SolveGroups),
// kFailed, kInterrupted.
QuantizeReport QuantizeGroups(const std::filesystem::path& source, const std::filesystem::path& output,
                              const Calibration& calibration, const GroupModelOptions& options);

}  // namespace qad

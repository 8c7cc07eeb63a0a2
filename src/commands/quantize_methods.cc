#include "commands/quantize_methods.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace qad {
namespace {

using Words = std::vector<std::string>;

const Words kTexts = {"--calibration", "--calibration-samples", "--calibration-length", "--seed",
                      "--eval",        "--allow-leak"};
const Words kInGroups = {"--bits", "--group-size", "--layout", "--asymmetric"};
const Words kSolved = {"--damping", "--act-order"};

Words All(std::initializer_list<Words> parts) {
  Words all;
  for (const Words& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

bool LooksAt(const QuantizeMethod& method, const std::string& option) {
  return std::ranges::find(method.options, option) != method.options.end();
}

}  // namespace

const std::vector<QuantizeMethod>& QuantizeMethods() {
  static const std::vector<QuantizeMethod> kMethods = {
      {"int8", {}, {"--per-tensor", "--embeddings"}},
      {"gguf", {}, All({kTexts, kSolved, {"--type", "--imatrix", "--save-imatrix", "--error-feedback"}})},
      {MethodName(GroupMethod::kGptq), GroupMethod::kGptq, All({kTexts, kInGroups, kSolved})},
      {MethodName(GroupMethod::kAwq), GroupMethod::kAwq, All({kTexts, kInGroups})},
      {MethodName(GroupMethod::kAwqGptq), GroupMethod::kAwqGptq, All({kTexts, kInGroups, kSolved})},
      {MethodName(GroupMethod::kRtn), GroupMethod::kRtn, All({kTexts, kInGroups})},
      {"nf4", {}, {"--double-quantization"}},
      {"auto", {}, All({kTexts, kSolved, {"--budget", "--max-kl", "--quality-floor"}})}};
  return kMethods;
}

const QuantizeMethod* FindQuantizeMethod(std::string_view name) {
  const auto found = std::ranges::find(QuantizeMethods(), name, &QuantizeMethod::name);
  return found == QuantizeMethods().end() ? nullptr : &*found;
}

void RequireOwnOptions(const CLI::App& app, const QuantizeMethod& method) {
  for (const QuantizeMethod& other : QuantizeMethods())
    for (const std::string& option : other.options) {
      if (app.count(option) == 0 || LooksAt(method, option)) continue;
      std::string known;
      for (const QuantizeMethod& one : QuantizeMethods())
        if (LooksAt(one, option)) known += fmt::format("{}{}", known.empty() ? "" : ", ", one.name);
      Fail(ErrorKind::kUsage, "{}: method {} does not look at it; it is of {}", option, method.name, known);
    }
  const auto require = [&](const std::string& option, const std::string& companion) {
    if (app.count(option) > 0 && app.count(companion) == 0)
      Fail(ErrorKind::kUsage, "{}: counts only beside {}, which is not given", option, companion);
  };
  for (const std::string& option : kTexts)
    if (LooksAt(method, option)) require(option, "--calibration");
  if (app.count("--quality-floor") == 0) require("--allow-leak", "--eval");
  if (!LooksAt(method, "--error-feedback")) return;
  for (const std::string& option : kSolved) require(option, "--error-feedback");
  if (app.count("--imatrix") > 0 && app.count("--error-feedback") > 0)
    Fail(ErrorKind::kUsage, "--imatrix: error feedback does not look at it: it has more from --calibration");
}

}  // namespace qad

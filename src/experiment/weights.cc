#include "experiment/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/suggest.h"
#include "base/yaml.h"
#include "quantize/ggml_grid.h"

namespace qad {
namespace {

using Kind = WeightsRecipe::Kind;

struct FixedWord {
  std::string_view word, weights;
  Kind kind;
  bool per_tensor = false;
};
constexpr std::array kFixed = {FixedWord{"base", "bf16", Kind::kBase}, FixedWord{"gguf", "as-stored", Kind::kStored},
                               FixedWord{"int8", "int8", Kind::kInt8}, FixedWord{"nf4", "nf4", Kind::kNf4},
                               FixedWord{"int8-per-tensor", "int8-per-tensor", Kind::kInt8, true}};

std::string_view HowGroupsAreMade(GroupMethod method) {
  switch (method) {
    case GroupMethod::kRtn:
      return "rounded to nearest, one scale for each group of inputs";
    case GroupMethod::kGptq:
      return "codes in groups; what rounding a weight leaves is taken up by those that follow";
    case GroupMethod::kAwq:
      return "inputs that carry large activations scaled up before rounding";
    case GroupMethod::kAwqGptq:
      return "inputs that carry large activations scaled up first, then as gptq";
  }
  QAD_CHECK(false);
}

// "gptq-4": the method, then the bits behind the last dash.
ParsedWeights ParseGroups(const std::string& word) {
  ParsedWeights parsed;
  const size_t dash = word.rfind('-');
  if (dash == std::string::npos) return parsed;
  const auto found = std::ranges::find(kGroupMethods, word.substr(0, dash), MethodName);
  if (found == kGroupMethods.end()) return parsed;
  parsed.known = true;
  parsed.recipe = {.kind = Kind::kGroups, .weights = word, .method = *found};
  const std::string bits = word.substr(dash + 1);
  const bool awq = *found == GroupMethod::kAwq;
  if (awq ? bits != "4" : bits != "2" && bits != "3" && bits != "4" && bits != "8")
    parsed.error = awq ? fmt::format("'{}': AWQ's layout has 4 bits: awq-4; awq-gptq-{} is its scales in GPTQ's", word,
                                     bits.empty() ? "4" : bits)
                       : fmt::format("'{}': bits are 2, 3, 4 or 8, e.g. {}-4", word, MethodName(*found));
  else
    parsed.recipe.bits = bits[0] - '0';
  return parsed;
}

ParsedWeights ParseGguf(const std::string& type) {
  ParsedWeights parsed{.recipe = {.kind = Kind::kGguf}, .known = true, .error = ""};
  parsed.recipe.type = FindGgufFileType(type);
  if (parsed.recipe.type != nullptr) {
    parsed.recipe.weights = fmt::format("gguf:{}", parsed.recipe.type->name);
    return parsed;
  }
  std::vector<std::string> names;
  for (const GgufFileType& known : GgufFileTypes()) names.emplace_back(known.name);
  parsed.error = fmt::format("'gguf:{}' is no file type, e.g. gguf:Q4_K_M{}", type, Suggestion(type, names));
  return parsed;
}

// "90MB", "kl0.05", or "floor".
ParsedWeights ParseAuto(const std::string& goal) {
  ParsedWeights parsed{.recipe = {.kind = Kind::kAuto, .weights = "auto:" + goal}, .known = true, .error = ""};
  if (goal.starts_with("kl")) {
    const std::optional<double> limit = ParseNumber(goal.substr(2));
    if (limit && *limit > 0)
      parsed.recipe.max_kl = *limit;
    else
      parsed.error = fmt::format("'auto:{}': behind kl comes the divergence at most, e.g. auto:kl0.05", goal);
    return parsed;
  }
  if (goal == "floor") {
    parsed.recipe.floor = true;
    return parsed;
  }
  const std::optional<uint64_t> bytes = ParseBytes(goal);
  if (bytes && *bytes > 0)
    parsed.recipe.budget = *bytes;
  else
    parsed.error = fmt::format(
        "'auto:{}': a size is expected, e.g. auto:90MB, a KL divergence, e.g. auto:kl0.05, or auto:floor", goal);
  return parsed;
}

}  // namespace

bool WeightsRecipe::calibrated() const {
  return (kind == Kind::kGroups && method != GroupMethod::kRtn) || kind == Kind::kAuto ||
         (kind == Kind::kGguf && GgmlGrid::Has(type->format));
}

namespace {

std::string_view HowMadeOfDense(const WeightsRecipe& recipe, bool error_feedback) {
  switch (recipe.kind) {
    case Kind::kBase:
      return "as it came, in bf16";
    case Kind::kStored:
      return "as the model's file stores them";
    case Kind::kInt8:
      return recipe.per_tensor ? "rounded to nearest, one scale for a whole matrix"
                               : "rounded to nearest, one scale for each output";
    case Kind::kNf4:
      return "rounded to 16 values of a normal distribution, one scale for 64 weights";
    case Kind::kGroups:
      return HowGroupsAreMade(recipe.method);
    case Kind::kGguf:
      if (!recipe.calibrated()) return "one of llama.cpp's file types";
      return error_feedback ? "one of llama.cpp's file types, solved with error feedback"
                            : "one of llama.cpp's file types, scales weighted by importance";
    case Kind::kAuto:
      return "a GGUF file whose types were searched for, matrix by matrix";
    case Kind::kMerged:
      return "in bf16";
  }
  QAD_CHECK(false);
}

}  // namespace

std::string WeightsRecipe::HowMade(bool error_feedback) const {
  const std::string_view how = HowMadeOfDense(*this, error_feedback);
  if (merged.empty()) return std::string(how);
  return fmt::format("adapter {} merged into the weights, {}{}", merged, kind == Kind::kMerged ? "" : "then ", how);
}

std::filesystem::path WeightsRecipe::Output() const {
  std::string name = weights;
  std::ranges::replace(name, ':', '-');
  std::ranges::replace(name, ' ', '-');
  return kind == Kind::kGguf || kind == Kind::kAuto ? name + ".gguf" : name;
}

std::vector<std::filesystem::path> WeightsRecipe::Files() const {
  if (kind == Kind::kGguf || kind == Kind::kAuto) return {Output()};
  return {Output() / "model.safetensors", Output() / "config.json"};
}

namespace {

constexpr std::string_view kMerged = " merged";

// "lora merged", or with what is made of it: "lora merged int8".
ParsedWeights ParseMerged(const std::string& word, size_t at) {
  ParsedWeights parsed{.recipe = {.kind = Kind::kMerged, .weights = word}, .known = true, .error = ""};
  const size_t behind = at + kMerged.size();
  if (behind < word.size()) {
    const std::string inner = word.substr(behind + 1);
    parsed = ParseWeights(inner);
    if (parsed.recipe.floor)
      parsed.error = fmt::format(
          "'{}': floors are judged on the model itself before its copies, not on an adapter; name a size, e.g. {}{} "
          "auto:90MB",
          word, word.substr(0, at), kMerged);
    else if (!parsed.known || !parsed.recipe.merged.empty() || (parsed.error.empty() && !parsed.recipe.made()))
      parsed.error = fmt::format(
          "'{}': behind 'merged' comes what is made of the merged weights, e.g. int8, gptq-4 or gguf:Q4_K_M; nothing "
          "for bf16",
          word);
    parsed.known = true;
    parsed.recipe.weights = fmt::format("{}{} {}", word.substr(0, at), kMerged, parsed.recipe.weights);
  }
  parsed.recipe.merged = word.substr(0, at);
  return parsed;
}

}  // namespace

std::string MergedWord(std::string_view adapter) { return fmt::format("{}{}", adapter, kMerged); }

ParsedWeights ParseWeights(std::string_view text) {
  const std::string word(text);
  if (const size_t at = word.find(kMerged); at != std::string::npos && at > 0) {
    const size_t behind = at + kMerged.size();
    if (behind == word.size() || word[behind] == ' ') return ParseMerged(word, at);
  }
  for (const FixedWord& row : kFixed)
    if (word == row.word || word == row.weights)
      return {.recipe = {.kind = row.kind, .weights = std::string(row.weights), .per_tensor = row.per_tensor},
              .known = true,
              .error = ""};
  if (word.starts_with("gguf:")) return ParseGguf(word.substr(5));
  if (word.starts_with("auto:")) return ParseAuto(word.substr(5));
  if (word == "auto")
    return {.recipe = {}, .known = true, .error = "'auto' wants a goal, e.g. auto:90MB, auto:kl0.05 or auto:floor"};
  return ParseGroups(word);
}

WeightsRecipe RecipeOf(std::string_view weights) {
  const ParsedWeights parsed = ParseWeights(weights);
  QAD_CHECK(parsed.known && parsed.error.empty());
  return parsed.recipe;
}

std::vector<WeightsRecipe> MadeWeights(const Config& config) {
  std::vector<WeightsRecipe> made;
  const std::function<void(const std::string&, Prompting)> add = [&](const std::string& weights, Prompting prompting) {
    WeightsRecipe recipe = RecipeOf(weights);
    if (!recipe.merged.empty() && recipe.kind != Kind::kMerged) add(MergedWord(recipe.merged), prompting);
    if (!recipe.made() || std::ranges::find(made, recipe.weights, &WeightsRecipe::weights) != made.end()) return;
    recipe.prompting = prompting;
    made.push_back(std::move(recipe));
  };
  for (const AdapterConfig& adapter : config.adapters) add(adapter.base, Prompting::kZeroShot);
  for (const auto* arms : {&config.arms, &config.text_only})
    for (const ArmConfig& arm : *arms)
      if (!arm.endpoint) add(arm.weights, arm.prompting);
  return made;
}

const std::vector<std::string>& KnownWeights() {
  static const std::vector<std::string> words = {"base",  "int8",        "int8-per-tensor", "nf4",
                                                 "rtn-4", "gptq-4",      "awq-4",           "awq-gptq-4",
                                                 "gguf",  "gguf:Q4_K_M", "auto:90MB",       "auto:floor"};
  return words;
}

}  // namespace qad

#include "experiment/arms.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/suggest.h"
#include "experiment/weights.h"
#include "results/results.h"

namespace qad {
namespace {

std::vector<std::string> SplitTerms(std::string_view form) {
  std::vector<std::string> terms;
  for (size_t at = 0; at <= form.size();) {
    const size_t end = std::min(form.find('+', at), form.size());
    std::string_view term = form.substr(at, end - at);
    while (term.starts_with(' ')) term.remove_prefix(1);
    while (term.ends_with(' ')) term.remove_suffix(1);
    terms.emplace_back(term);
    at = end + 1;
  }
  return terms;
}

using Adapters = std::vector<AdapterConfig>;

// "lora", "lora-grounded".
std::vector<std::string> NamesOf(const Adapters& adapters) {
  std::vector<std::string> names;
  for (const AdapterConfig& adapter : adapters) names.push_back(adapter.name);
  return names;
}

std::string NoSuchAdapter(const std::string& term, const std::string& name, const Adapters& adapters) {
  const std::vector<std::string> names = NamesOf(adapters);
  return fmt::format("'{}': '{}' is none of the adapters{}", term, name, Suggestion(name, names));
}

// Weights alone, or with an adapter merged into them.
std::string ReadWeights(const std::string& term, const ParsedWeights& parsed, const Adapters& adapters,
                        ArmConfig& arm) {
  const WeightsRecipe& recipe = parsed.recipe;
  arm.weights = recipe.weights;
  if (!parsed.error.empty()) return parsed.error;
  if (recipe.kind == WeightsRecipe::Kind::kGguf) arm.name = arm.weights;
  if (recipe.merged.empty()) return "";
  if (std::ranges::find(adapters, recipe.merged, &AdapterConfig::name) == adapters.end())
    return NoSuchAdapter(term, recipe.merged, adapters);
  arm.adapter = recipe.merged;
  arm.merged = true;
  return "";
}

// "lora on gguf:Q4_K_M": an adapter on other weights than those it was trained on. `at` is where " on " begins.
std::string ReadOnOthers(const std::string& term, size_t at, const Adapters& adapters, ArmConfig& arm) {
  constexpr size_t kLength = std::string_view(" on ").size();
  const std::string name = term.substr(0, at);
  const ParsedWeights parsed = ParseWeights(term.substr(at + kLength));
  const auto adapter = std::ranges::find(adapters, name, &AdapterConfig::name);
  if (adapter == adapters.end()) return NoSuchAdapter(term, name, adapters);
  if (!parsed.known || !parsed.recipe.merged.empty() || parsed.recipe.floor)
    return fmt::format("'{}': behind 'on' come weights, e.g. '{} on gguf:Q4_K_M'", term, name);
  if (!parsed.error.empty()) return parsed.error;
  if (parsed.recipe.weights == adapter->base)
    return fmt::format("'{}': that is what it was trained on; say '{}'", term, name);
  arm.adapter = name;
  arm.weights = parsed.recipe.weights;
  if (parsed.recipe.kind == WeightsRecipe::Kind::kGguf) arm.name = fmt::format("{} on {}", name, arm.weights);
  return "";
}

// The first term names weights or an adapter. Returns an error, or "".
std::string ReadFirst(const std::string& term, const Adapters& adapters, ArmConfig& arm) {
  arm.name = term;
  if (const size_t at = term.find(" on "); at != std::string::npos) return ReadOnOthers(term, at, adapters, arm);
  if (const ParsedWeights parsed = ParseWeights(term); parsed.known) return ReadWeights(term, parsed, adapters, arm);
  if (const auto adapter = std::ranges::find(adapters, term, &AdapterConfig::name); adapter != adapters.end()) {
    arm.adapter = adapter->name;
    arm.weights = adapter->base;
    return "";
  }
  std::vector<std::string> words = KnownWeights();
  std::ranges::copy(NamesOf(adapters), std::back_inserter(words));
  std::string known;
  for (const std::string& word : words) known += (known.empty() ? "" : ", ") + word;
  return fmt::format("'{}' names no weights and no adapter; known here: {}{}", term, known, Suggestion(term, words));
}

}  // namespace

std::vector<ArmConfig> FormsOf(const Config& config) {
  std::vector<ArmConfig> forms;
  std::set<std::pair<std::string, std::string>> pairs;
  for (const bool plain : {true, false}) {
    for (const ArmConfig& arm : config.arms) {
      if (arm.endpoint || !arm.replica_of.empty()) continue;
      if (plain == (arm.prompting == Prompting::kZeroShot) && pairs.insert({arm.weights, arm.adapter}).second)
        forms.push_back(arm);
    }
  }
  for (const ArmConfig& arm : config.text_only)
    if (pairs.insert({arm.weights, arm.adapter}).second) forms.push_back(arm);
  return forms;
}

std::string DeploymentOf(const AdapterConfig& adapter, const ArmConfig& arm) {
  if (arm.merged) return std::string(kMergedIn);
  return std::string(arm.weights == adapter.base ? kAsTrained : kOnOthers);
}

ParsedArm ParseArm(std::string_view form, const std::vector<AdapterConfig>& adapters) {
  ParsedArm parsed;
  const std::vector<std::string> terms = SplitTerms(form);
  parsed.error = ReadFirst(terms.front(), adapters, parsed.arm);
  for (size_t i = 1; i < terms.size() && parsed.error.empty(); ++i) {
    if (parsed.arm.prompting != Prompting::kZeroShot)
      parsed.error = fmt::format("'{}': an arm has one way of prompting, few-shot or rag", form);
    else if (terms[i] == "few-shot")
      parsed.arm.prompting = Prompting::kFewShot;
    else if (terms[i] == "rag")
      parsed.arm.prompting = Prompting::kRag;
    else
      parsed.error = fmt::format("'{}': '{}' is no way of prompting; known: few-shot, rag{}", form, terms[i],
                                 Suggestion(terms[i], {"few-shot", "rag"}));
    parsed.arm.name += " + " + terms[i];
  }
  return parsed;
}

}  // namespace qad

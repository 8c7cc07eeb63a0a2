#include "experiment/arms.h"

#include <algorithm>

#include "base/error.h"
#include "base/suggest.h"
#include "experiment/weights.h"

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

// The first term names weights or an adapter. Returns an error, or "".
std::string ReadFirst(const std::string& term, const std::vector<AdapterConfig>& adapters, ArmConfig& arm) {
  arm.name = term;
  if (const ParsedWeights parsed = ParseWeights(term); parsed.known) {
    arm.weights = parsed.recipe.weights;
    if (parsed.recipe.kind == WeightsRecipe::Kind::kGguf && parsed.error.empty()) arm.name = arm.weights;
    return parsed.error;
  }
  if (const auto adapter = std::ranges::find(adapters, term, &AdapterConfig::name); adapter != adapters.end()) {
    arm.adapter = adapter->name;
    arm.weights = adapter->base;
    return "";
  }
  std::vector<std::string> words = KnownWeights();
  for (const AdapterConfig& adapter : adapters) words.push_back(adapter.name);
  std::string known;
  for (const std::string& word : words) known += (known.empty() ? "" : ", ") + word;
  return fmt::format("'{}' names no weights and no adapter; known here: {}{}", term, known, Suggestion(term, words));
}

}  // namespace

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

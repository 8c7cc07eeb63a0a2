#include "experiment/arms.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/suggest.h"

namespace qad {
namespace {

struct WeightsWord {
  std::string_view word, weights;
};
constexpr std::array kWeights = {WeightsWord{"base", "bf16"}, WeightsWord{"int8", "int8"},
                                 WeightsWord{"int8-per-tensor", "int8-per-tensor"}, WeightsWord{"gguf", "as-stored"}};

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

std::string KnownFirst(const std::vector<AdapterConfig>& adapters) {
  std::string known;
  for (const WeightsWord& row : kWeights) known += fmt::format("{}{}", known.empty() ? "" : ", ", row.word);
  for (const AdapterConfig& adapter : adapters) known += ", " + adapter.name;
  return known;
}

// The first term names weights or an adapter. Returns an error, or "".
std::string ReadFirst(const std::string& term, const std::vector<AdapterConfig>& adapters, ArmConfig& arm) {
  if (const auto row = std::ranges::find(kWeights, term, &WeightsWord::word); row != kWeights.end()) {
    arm.weights = row->weights;
    return "";
  }
  if (const auto adapter = std::ranges::find(adapters, term, &AdapterConfig::name); adapter != adapters.end()) {
    arm.adapter = adapter->name;
    arm.weights = adapter->base;
    return "";
  }
  std::vector<std::string> words;
  for (const WeightsWord& row : kWeights) words.emplace_back(row.word);
  for (const AdapterConfig& adapter : adapters) words.push_back(adapter.name);
  return fmt::format("'{}' names no weights and no adapter; known here: {}{}", term, KnownFirst(adapters),
                     Suggestion(term, words));
}

}  // namespace

ParsedArm ParseArm(std::string_view form, const std::vector<AdapterConfig>& adapters) {
  ParsedArm parsed;
  const std::vector<std::string> terms = SplitTerms(form);
  parsed.error = ReadFirst(terms.front(), adapters, parsed.arm);
  parsed.arm.name = terms.front();
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

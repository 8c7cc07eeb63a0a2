// The pages of the pack as documents. Every figure in them comes from results.json, memory_math.json or decision.json,
// or from samples; what was not measured is said to be so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/document.h"
#include "results/decision.h"
#include "results/memory_math.h"
#include "results/results.h"

namespace qad {

struct Pack {
  Results results;
  std::vector<Sample> samples;  // of all arms; may be empty
  std::optional<MemoryMath> memory;
  std::optional<Decision> decision;
};

Document MemoPage(const Pack& pack);
Document BenchmarkPage(const Pack& pack);
Document MemoryPage(const Pack& pack);
Document SamplesPage(const Pack& pack);  // for report.html only

// --- What several pages need ---

std::string ModelName(const Pack& pack);
// A text of the manifest: "model", "name". Empty where missing.
std::string ManifestText(const Results& results, const char* object, const char* key);
// Arms that have a row in a slice or group, in order of first appearance: also those that are no arm of the experiment.
std::vector<std::string> ArmsWithRows(const Results& results, std::string_view slice);
// The confidence of the intervals of quality and of comparisons, from the settings; as text "95%".
double ConfidenceOf(const Results& results);
std::string ConfidenceText(const Results& results);
std::optional<double> FloorOf(const Pack& pack, const std::string& slice);
// Index into the arms: the colour of an arm in every chart.
size_t ColourOf(const Results& results, const std::string& arm);
bool IsRecommended(const Pack& pack, const std::string& arm);
// "The run was cut …", where it was.
void SayPartial(const Pack& pack, Document& page);
// That the source's weights were quantized already, where the manifest says so.
void SaySourceFormat(const Pack& pack, Document& page);

// Cells. Nothing measured: a muted "not measured" (or "–" in crowded tables).
Text ShareCell(const Row* row);
Text BytesCell(const Row* row);
Text SecondsCell(const Row* row);
Text RateCell(const Row* row);
Text NumberCell(const Row* row);
Text Missing();
// value (low–high) with a formatter.
Text SpreadCell(const Row* row, std::string (*format)(double));

// What a form that lost or changed behaviour lost, and what would serve instead; "" of the others.
std::string DeploymentWarning(const DeploymentAnswer& answer);

}  // namespace qad

// The tables of benchmark_results.md below its overview. A table without rows means: not measured.
#pragma once

#include <string>
#include <vector>

#include "report/pages.h"

namespace qad {

Table SliceTable(const Pack& pack, const std::string& slice);  // every metric of one slice
Table ComparisonTable(const Results& results, bool declared);
Table SpeedTable(const Results& results);
Table TextTable(const Results& results);
// Of weights that were made: what making them took, and what came of it.
Table QuantizeTable(const Results& results);
Table UpdateTable(const Results& results);
Table BaselineTable(const Pack& pack);  // the primary metric of every slice
Table TokensTable(const Pack& pack);
Table CostTable(const Pack& pack);
Table ManifestTable(const Json& manifest);
// What training took, how it went, what it made the model forget, and what is left of it in the forms in which an
// adapter may be served.
void SayTraining(const Results& results, Document& page);
void SayForgetting(const Results& results, Document& page);
void SayDeployment(const Pack& pack, Document& page);
// At which stage questions that an index can answer are lost, and how well it finds and refuses.
void SayRetrieval(const Pack& pack, Document& page);
// Evaluation items that stand elsewhere too, where the manifest lists some ("leaks").
void SayLeaks(const Results& results, Document& page);
// What others published of the same model beside ours, where the manifest holds it ("published").
void SayPublished(const Results& results, Document& page);

// --- What these tables share ---

std::vector<std::string> MetricsOf(const Results& results, std::string_view slice);  // in order of first appearance
Text MetricCell(const Results& results, const Row* row);
// Keeps the row only where something in it was measured.
void AddIfMeasured(Table& table, std::vector<Text> cells);
// A share printed as percent; other metrics (likelihoods, counts) as numbers.
bool IsShareMetric(const Results& results, const std::string& metric);

}  // namespace qad

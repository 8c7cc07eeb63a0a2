// The tables of benchmark_results.md below its overview. A table without rows means: not measured.
#pragma once

#include <string>

#include "report/pages.h"

namespace qad {

Table SliceTable(const Pack& pack, const std::string& slice);  // every metric of one slice
Table ComparisonTable(const Results& results, bool declared);
Table SpeedTable(const Results& results);
Table TextTable(const Results& results);
Table RetrievalTable(const Pack& pack);
// Of weights that were made: what making them took, and what came of it.
Table QuantizeTable(const Results& results);
Table TrainingTable(const Results& results);
Table UpdateTable(const Results& results);
Table BaselineTable(const Pack& pack);  // the primary metric of every slice
Table TokensTable(const Pack& pack);
Table CostTable(const Pack& pack);
Table ManifestTable(const Json& manifest);
// Evaluation items that stand elsewhere too, where the manifest lists some ("leaks").
void SayLeaks(const Results& results, Document& page);
// The assignment's own figures beside ours, where the manifest holds them ("assignment_snapshot").
void SaySnapshot(const Results& results, Document& page);

// A share printed as percent; other metrics (likelihoods, counts) as numbers.
bool IsShareMetric(const Results& results, const std::string& metric);

}  // namespace qad

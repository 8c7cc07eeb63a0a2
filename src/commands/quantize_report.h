// What `qad quantize` prints: tables for people, or JSON.
#pragma once

#include <string>

#include "base/json.h"
#include "experiment/auto_weights.h"
#include "quantize/report.h"

namespace qad {

void PrintReport(const QuantizeReport& report);
void PrintReport(const AutoWeights& result);

Json ReportJson(const QuantizeReport& report, const std::string& method);
// The same with the front, the files that were tried, and the format of each matrix.
Json ReportJson(const AutoWeights& result);

}  // namespace qad

#include "commands/quantize_report.h"

#include <fmt/format.h>

#include <map>

#include "base/units.h"
#include "model/families.h"

namespace qad {

void PrintReport(const QuantizeReport& report) {
  fmt::print(
      "{}\n  weights   {} (tensors of the source {})\n  time      {}\n  peak RSS  {}\n\n  {:<20} {:>8} {:>14} {:>11} "
      "{:>11}\n",
      report.output.string(), FormatBytes(static_cast<double>(report.bytes)),
      FormatBytes(static_cast<double>(report.source_bytes)), FormatSeconds(report.seconds),
      FormatBytes(static_cast<double>(report.peak_rss_bytes)), "role", "tensors", "weights", "NMSE", "max error");
  for (const RoleError& error : report.errors)
    fmt::print("  {:<20} {:>8} {:>14} {:>11.3e} {:>11.3e}\n", RoleName(error.role), error.tensors, error.values,
               error.nmse, error.max_error);
}

void PrintReport(const AutoWeights& result) {
  const AutoReport& report = result.report;
  PrintReport(report.artefact);
  fmt::print("\n  KL divergence  {:.5f} nats on texts held out from calibration (estimated {:.5f})\n\n",
             result.kl_divergence, report.chosen.estimated_kl);
  if (result.above_floor)
    fmt::print("  the required slice that is worst off is {:.3f} above its floor, on data.dev\n\n",
               *result.above_floor);
  std::map<std::string, size_t> matrices;
  for (const auto& [name, format] : report.formats) ++matrices[format];
  for (const auto& [format, count] : matrices) fmt::print("  {:<8} {} matrices\n", format, count);
}

Json ReportJson(const QuantizeReport& report, const std::string& method) {
  Json errors = Json::array();
  for (const RoleError& error : report.errors)
    errors.push_back({{"role", RoleName(error.role)},
                      {"tensors", error.tensors},
                      {"values", error.values},
                      {"nmse", error.nmse},
                      {"max_error", error.max_error}});
  return {{"method", method},
          {"seconds", report.seconds},
          {"peak_rss_bytes", report.peak_rss_bytes},
          {"bytes", report.bytes},
          {"source_bytes", report.source_bytes},
          {"output", report.output.string()},
          {"errors", errors},
          {"layers", report.changes}};
}

Json ReportJson(const AutoWeights& result) {
  const AutoReport& report = result.report;
  Json json = ReportJson(report.artefact, "auto");
  json["kl_divergence"] = result.kl_divergence;
  json["estimated_kl_divergence"] = report.chosen.estimated_kl;
  json["formats"] = Json::object();
  for (const auto& [name, format] : report.formats) json["formats"][name] = format;
  if (result.above_floor) json["above_floor"] = *result.above_floor;
  for (const AutoTrial& trial : report.trials)
    json["trials"].push_back({{"bytes", trial.bytes},
                              {"estimated_kl_divergence", trial.estimated_kl},
                              {result.above_floor ? "short_of_floor" : "kl_divergence", trial.judged}});
  for (const Choice& point : report.front)
    json["front"].push_back({{"bytes", point.bytes}, {"estimated_kl_divergence", point.cost}});
  return json;
}

}  // namespace qad

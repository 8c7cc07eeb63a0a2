// qad quantize MODEL --method int8 --output PATH.
#include <fmt/format.h>

#include <memory>

#include "base/progress.h"
#include "commands/command.h"
#include "io/model_files.h"
#include "quantize/rtn_int8.h"

namespace qad {
namespace {

struct Options {
  std::string model, method, output;
  Int8Options int8;
};

Json ToJson(const QuantizeReport& report, const std::string& method) {
  Json errors = Json::array();
  for (const RoleError& error : report.errors)
    errors.push_back({{"role", RoleName(error.role)},
                      {"tensors", error.tensors},
                      {"values", error.values},
                      {"nmse", error.nmse},
                      {"max_error", error.max_error}});
  return {{"method", method},      {"seconds", report.seconds},           {"peak_rss_bytes", report.peak_rss_bytes},
          {"bytes", report.bytes}, {"source_bytes", report.source_bytes}, {"output", report.output.string()},
          {"errors", errors}};
}

void RunQuantize(Options options, const GlobalFlags& flags) {
  options.int8.quiet = flags.json;
  options.int8.threads = flags.threads;
  const QuantizeReport report = QuantizeInt8(ResolveModel(options.model), options.output, options.int8);
  if (flags.json) return PrintJson(ToJson(report, options.method));
  fmt::print("{}\n  weights   {} (source {})\n  time      {}\n  peak RSS  {}\n\n  {:<20} {:>8} {:>14} {:>11} {:>11}\n",
             report.output.string(), FormatBytes(static_cast<double>(report.bytes)),
             FormatBytes(static_cast<double>(report.source_bytes)), FormatSeconds(report.seconds),
             FormatBytes(static_cast<double>(report.peak_rss_bytes)), "role", "tensors", "weights", "NMSE",
             "max error");
  for (const RoleError& error : report.errors)
    fmt::print("  {:<20} {:>8} {:>14} {:>11.3e} {:>11.3e}\n", RoleName(error.role), error.tensors, error.values,
               error.nmse, error.max_error);
}

}  // namespace

std::function<void()> AddQuantizeCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  app.add_option("--method", options->method, "int8: symmetric rounding to nearest")
      ->required()
      ->check(CLI::IsMember({"int8"}));
  app.add_option("--output", options->output, "folder to write")->required();
  app.add_flag("--per-tensor", options->int8.per_tensor,
               "one scale for a whole matrix instead of one an output channel");
  app.add_flag("--embeddings", options->int8.embeddings, "embeddings and an untied head too");
  return [options, &flags] { RunQuantize(*options, flags); };
}

}  // namespace qad

// qad merge MODEL --adapter PATH --output FOLDER: the adapter in the weights.
#include <fmt/format.h>

#include <memory>

#include "base/units.h"
#include "commands/command.h"
#include "experiment/adapter_files.h"
#include "io/model_files.h"

namespace qad {
namespace {

struct Options {
  std::string model, adapter, output, type = "bf16";
  bool subtract = false;
};

DType TypeOf(const std::string& name) {
  if (name == "f32") return DType::kF32;
  return name == "f16" ? DType::kF16 : DType::kBF16;
}

void MergeCommand(const Options& options, const GlobalFlags& flags) {
  const auto [report, modules] = MergeAdapterFiles(
      ResolveModel(options.model), options.adapter, options.output,
      {.type = TypeOf(options.type), .subtract = options.subtract, .threads = flags.threads, .quiet = flags.json});
  if (flags.json)
    return PrintJson(Json{{"output", report.output.string()},
                          {"modules", modules},
                          {"bytes", report.bytes},
                          {"seconds", report.seconds},
                          {"peak_rss_bytes", report.peak_rss_bytes}});
  fmt::print("{}: {} modules {}, {}, {}\n", report.output.string(), modules, options.subtract ? "taken out" : "merged",
             FormatBytes(static_cast<double>(report.bytes)), FormatSeconds(report.seconds));
}

}  // namespace

std::function<void()> AddMergeCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "the base: folder, .gguf file, or name in qad's cache")->required();
  app.add_option("--adapter", options->adapter, "PEFT folder, or GGUF file of llama.cpp's")->required();
  app.add_option("--output", options->output, "a folder that is not there yet")->required();
  app.add_option("--type", options->type, "of the merged weights")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_flag("--subtract", options->subtract, "take a merged adapter out again");
  return [options, &flags] { MergeCommand(*options, flags); };
}

}  // namespace qad

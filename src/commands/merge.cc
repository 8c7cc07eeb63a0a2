// qad merge MODEL --adapter PATH --output FOLDER: the adapter in the weights.
#include <fmt/format.h>

#include <memory>

#include "adapt/lora.h"
#include "base/units.h"
#include "commands/command.h"
#include "io/model_files.h"
#include "model/weights.h"
#include "quantize/merged_model.h"

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
  const std::filesystem::path path = ResolveModel(options.model);
  const ModelFiles files = OpenModel(path);
  const Transformer model(std::make_shared<Weights>(PlanOf(files, WeightMode::kAsStored), files));
  const LoraAdapter adapter(model, options.adapter);
  std::vector<LowRankUpdate> updates;
  for (const LoraAdapter::Module& module : adapter.modules())
    updates.push_back({.module = module.site.module,
                       .in = module.site.in,
                       .out = module.site.out,
                       .rank = module.rank,
                       .scale = module.scale,
                       .a = adapter.values().subspan(module.a, module.rank * module.site.in),
                       .b = adapter.values().subspan(module.b, module.rank * module.site.out)});
  const QuantizeReport report = MergeAdapter(
      path, updates, options.output,
      {.type = TypeOf(options.type), .subtract = options.subtract, .threads = flags.threads, .quiet = flags.json});
  if (flags.json)
    return PrintJson(Json{{"output", report.output.string()},
                          {"modules", updates.size()},
                          {"bytes", report.bytes},
                          {"seconds", report.seconds},
                          {"peak_rss_bytes", report.peak_rss_bytes}});
  fmt::print("{}: {} modules merged, {}, {}\n", report.output.string(), updates.size(),
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

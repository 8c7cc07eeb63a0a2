// qad convert ADAPTER OUTPUT --model MODEL: a LoRA adapter as a PEFT folder or as a GGUF file.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "commands/command.h"
#include "experiment/adapter_files.h"
#include "io/model_files.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string adapter, output, model;
};

void ConvertCommand(const Options& options, const GlobalFlags& flags) {
  const fs::path output = options.output;
  if (fs::exists(output))
    Fail(ErrorKind::kUsage, "{}: is there already; name a place where nothing is", output.string());
  const auto [modules, parameters] = ConvertAdapterFiles(ResolveModel(options.model), options.adapter, output);
  if (flags.json) return PrintJson(Json{{"output", output.string()}, {"modules", modules}, {"parameters", parameters}});
  fmt::print("{}: {} modules, {} parameters\n", output.string(), modules, parameters);
}

}  // namespace

std::function<void()> AddConvertCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("adapter", options->adapter, "PEFT folder, or GGUF file of llama.cpp's")->required();
  app.add_option("output", options->output, "a GGUF file where it ends in .gguf, else a PEFT folder")->required();
  app.add_option("--model", options->model, "the base: folder, .gguf file, or name in qad's cache")->required();
  return [options, &flags] { ConvertCommand(*options, flags); };
}

}  // namespace qad

// qad init FOLDER: the beginning of a project.
#include <fmt/format.h>

#include <memory>

#include "commands/command.h"
#include "experiment/power.h"
#include "experiment/scaffold.h"

namespace qad {
namespace {

struct Options {
  std::filesystem::path folder;
  std::string model = "smollm2-135m-instruct";
};

void InitCommand(const Options& options, const GlobalFlags& flags) {
  // Paths in the file are relative to it.
  const bool is_path = std::filesystem::exists(options.model);
  const std::string model = is_path ? std::filesystem::absolute(options.model).string() : options.model;
  const std::vector<std::filesystem::path> written = WriteScaffold(options.folder, model);
  const Config config = LoadConfig(options.folder / "config.yaml");
  const std::vector<std::string> power = PowerStatement(config, LoadDataset(config.data.eval));
  if (flags.json) {
    Json paths = Json::array();
    for (const std::filesystem::path& path : written) paths.push_back(path.string());
    return PrintJson(Json{{"written", paths}, {"power", power}});
  }
  for (const std::filesystem::path& path : written) fmt::print("{}\n", path.string());
  fmt::print("\nWhat its evaluation items can show:\n");
  for (const std::string& line : power) fmt::print("  {}\n", line);
  fmt::print("\nReplace the data, then: qad run --config {} --dry-run\n", config.file.string());
}

}  // namespace

std::function<void()> AddInitCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("folder", options->folder, "where; made where it is missing")->required();
  app.add_option("--model", options->model, "folder, .gguf file, hub id in the local cache, or name")
      ->capture_default_str();
  return [options, &flags] { InitCommand(*options, flags); };
}

}  // namespace qad

// qad init FOLDER: the beginning of a project.
#include <fmt/format.h>

#include <map>
#include <memory>

#include "base/error.h"
#include "commands/command.h"
#include "experiment/leak_guard.h"
#include "experiment/power.h"
#include "experiment/scaffold.h"

namespace qad {
namespace {

constexpr size_t kShownLeaks = 10;

struct Options {
  std::filesystem::path folder;
  std::string model = "smollm2-135m-instruct";
  ProjectData data;
};

std::vector<Item> Items(const std::filesystem::path& path) {
  return path.empty() ? std::vector<Item>() : LoadDataset(path);
}

// Items by slice, of train, dev and eval.
std::map<std::string, std::array<int64_t, 3>> SizesOf(std::span<const std::vector<Item>> parts) {
  std::map<std::string, std::array<int64_t, 3>> sizes;
  for (size_t i = 0; i < parts.size(); ++i)
    for (const Item& item : parts[i]) ++sizes[item.slice][i];
  return sizes;
}

Json ToJson(const std::vector<std::filesystem::path>& written, std::span<const std::vector<Item>> parts,
            const std::vector<Leak>& leaks, const std::vector<std::string>& power) {
  Json json = {{"written", Json::array()}, {"items", Json::object()}, {"leaks", Json::array()}, {"power", power}};
  for (const std::filesystem::path& path : written) json["written"].push_back(path.string());
  for (const auto& [slice, sizes] : SizesOf(parts))
    json["items"][slice] = {{"train", sizes[0]}, {"dev", sizes[1]}, {"eval", sizes[2]}};
  for (const Leak& leak : leaks) json["leaks"].push_back(LeakToJson(leak));
  return json;
}

void Say(const std::vector<std::filesystem::path>& written, std::span<const std::vector<Item>> parts,
         const std::vector<Leak>& leaks, const std::vector<std::string>& power) {
  for (const std::filesystem::path& path : written) fmt::print("{}\n", path.string());
  fmt::print("\n{:<28}{:>8}{:>8}{:>8}\n", "items of", "train", "dev", "eval");
  for (const auto& [slice, sizes] : SizesOf(parts))
    fmt::print("{:<28}{:>8}{:>8}{:>8}\n", slice, sizes[0], sizes[1], sizes[2]);
  fmt::print("\nPairs of an evaluation item and what models or prompts see that are (nearly) the same: {}\n",
             leaks.empty() ? "none" : std::to_string(leaks.size()));
  for (size_t i = 0; i < std::min(kShownLeaks, leaks.size()); ++i)
    fmt::print("  {} and {} of {}: {} ({:.2f})\n", leaks[i].item, leaks[i].other, leaks[i].corpus,
               LeakKindName(leaks[i].kind), leaks[i].similarity);
  if (leaks.size() > kShownLeaks) fmt::print("  and {} more (--json has all)\n", leaks.size() - kShownLeaks);
  fmt::print("\nWhat its evaluation items can show:\n");
  for (const std::string& line : power) fmt::print("  {}\n", line);
}

void InitCommand(const Options& options, const GlobalFlags& flags) {
  // Paths in the file are relative to it.
  const bool is_path = std::filesystem::exists(options.model);
  const std::string model = is_path ? std::filesystem::absolute(options.model).string() : options.model;
  const bool own = !options.data.dataset.empty();
  if (!own && !options.data.documents.empty())
    Fail(ErrorKind::kUsage, "--documents: goes with --data, the questions that are asked of them");
  const std::vector<std::filesystem::path> written =
      own ? WriteScaffold(options.folder, model, options.data) : WriteScaffold(options.folder, model);
  const Config config = LoadConfig(options.folder / "config.yaml");
  const std::vector<std::vector<Item>> parts = {Items(config.data.train), Items(config.data.dev),
                                                Items(config.data.eval)};
  const std::vector<Leak> leaks = LeaksOf(config, parts[0], parts[1], parts[2]);
  const std::vector<std::string> power = PowerStatement(config, parts[2]);
  if (flags.json) return PrintJson(ToJson(written, parts, leaks, power));
  Say(written, parts, leaks, power);
  fmt::print("\n{}qad run --config {} --dry-run\n",
             own ? "Look it over, then: " : "Replace the data, then: ", config.file.string());
}

}  // namespace

std::function<void()> AddInitCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("folder", options->folder, "where; made where it is missing")->required();
  app.add_option("--model", options->model, "folder, .gguf file, hub id in the local cache, or name")
      ->capture_default_str();
  app.add_option("--data", options->data.dataset,
                 "dataset (JSON lines) that is split into train, dev and eval; without it, a small example");
  app.add_option("--documents", options->data.documents, "folder or file that RAG looks up");
  return [options, &flags] { InitCommand(*options, flags); };
}

}  // namespace qad

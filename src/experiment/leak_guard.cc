#include "experiment/leak_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "evaluate/leaks.h"
#include "retrieve/chunker.h"

namespace qad {

namespace {

// Not where the model makes the texts up.
bool CalibratesOnTexts(const Config& config) {
  if (config.quantize.calibration.empty()) return false;
  const std::vector<WeightsRecipe> made = MadeWeights(config);
  return std::ranges::any_of(made, [](const WeightsRecipe& recipe) { return recipe.calibrated(); });
}

LeakCorpus CorpusOf(const std::filesystem::path& texts) {
  constexpr int kLongest = 1 << 24;  // words: a file is searched as one text
  if (texts.extension() == ".jsonl") return LeakCorpusOf("calibration", LoadDataset(texts));
  return LeakCorpusOf("calibration", ChunkDocuments({texts}, kLongest, CountWords));
}

// The texts that weights are calibrated with; none where the model makes them up.
std::optional<LeakCorpus> CalibrationCorpus(const Workspace& workspace) {
  const Config& config = workspace.config;
  if (!CalibratesOnTexts(config)) return std::nullopt;
  return CorpusOf(config.quantize.calibration);
}

}  // namespace

void RequireCleanTexts(const std::filesystem::path& texts, const std::vector<Item>& judged, bool allow_leak,
                       bool quiet) {
  const LeakCorpus corpus = CorpusOf(texts);
  std::vector<Leak> leaks = FindLeaks(judged, {&corpus, 1});
  std::erase_if(leaks, [](const Leak& leak) { return leak.kind == LeakKind::kNear; });
  if (leaks.empty()) return;
  const std::string found =
      fmt::format("{} times items to judge by stand word for word in the calibration texts, {}: e.g. item {} in {}",
                  leaks.size(), texts.string(), leaks.front().item, leaks.front().other);
  if (!allow_leak)
    Fail(
        ErrorKind::kUsage,
        "{}; take them out, name other texts (quantize.calibration.from, or --calibration), or go on with --allow-leak",
        found);
  if (!quiet) fmt::print(stderr, "! {}\n", found);
}

void RequireCleanCalibration(const Workspace& workspace) {
  const Config& config = workspace.config;
  if (!CalibratesOnTexts(config)) return;
  std::vector<Item> judged = workspace.eval;
  const std::vector<WeightsRecipe> made = MadeWeights(config);
  if (std::ranges::any_of(made, &WeightsRecipe::floor))  // a search is judged on dev
    judged.insert(judged.end(), workspace.dev.begin(), workspace.dev.end());
  RequireCleanTexts(config.quantize.calibration, judged, workspace.scope.allow_leak, workspace.quiet);
}

Json LeaksJson(const Workspace& workspace) {
  const DataConfig& data = workspace.config.data;
  std::vector<LeakCorpus> corpora{LeakCorpusOf("train", workspace.train), LeakCorpusOf("dev", workspace.dev)};
  for (const AdapterConfig& adapter : workspace.config.adapters)
    if (adapter.data != data.train)
      corpora.push_back(LeakCorpusOf("train of " + adapter.name, LoadDataset(adapter.data)));
  for (const auto* documents : {&data.documents, &data.documents_update})
    if (!documents->empty())
      corpora.push_back(
          LeakCorpusOf("documents", ChunkDocuments(*documents, workspace.config.rag.chunk_tokens, CountWords)));
  if (workspace.config.quantize.calibration != data.train)
    if (std::optional<LeakCorpus> corpus = CalibrationCorpus(workspace)) corpora.push_back(*std::move(corpus));
  Json leaks = Json::array();
  for (const Leak& leak : FindLeaks(workspace.eval, corpora))
    leaks.push_back({{"item", leak.item},
                     {"corpus", leak.corpus},
                     {"other", leak.other},
                     {"similarity", leak.similarity},
                     {"kind", leak.kind == LeakKind::kExact        ? "exact"
                              : leak.kind == LeakKind::kNormalized ? "normalized"
                                                                   : "near"}});
  if (!leaks.empty() && !workspace.quiet)
    fmt::print(
        stderr,
        "! {} pairs of an evaluation item and training data or documents are (nearly) the same, e.g. {} and {} of "
        "{}; results.json of an evaluation lists them\n",
        leaks.size(), leaks[0]["item"].get<std::string>(), leaks[0]["other"].get<std::string>(),
        leaks[0]["corpus"].get<std::string>());
  return leaks;
}

}  // namespace qad

#include "experiment/leak_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "evaluate/leaks.h"
#include "experiment/general_text.h"
#include "retrieve/chunker.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char *kCalibration = "calibration", *kGeneralText = "general text";
constexpr double kMostShared = 0.1;

// Not where the model makes the texts up.
bool CalibratesOnTexts(const Config& config) {
  if (config.quantize.calibration.empty()) return false;
  const std::vector<WeightsRecipe> made = MadeWeights(config);
  return std::ranges::any_of(made, [](const WeightsRecipe& recipe) { return recipe.calibrated(); });
}

// What items ask is compared with what items ask; plain texts, and a file, are searched for it.
std::vector<LeakCorpus> CorporaOf(const std::filesystem::path& texts) {
  LeakCorpus plain{.name = kCalibration, .texts = {}, .documents = true};
  if (!IsDataset(texts)) {
    plain.texts.push_back({texts.filename().string(), ReadTextFile(texts), ""});
    return {plain};
  }
  std::vector<Item> items = LoadDataset(texts);
  for (const Item& item : items)
    if (item.plain_text) plain.texts.push_back({item.id, item.completion, ""});
  std::erase_if(items, [](const Item& item) { return item.plain_text; });
  return {LeakCorpusOf(kCalibration, items), plain};
}

// The share of the general text that stands in the calibration texts word for word, in pieces of so many words. Clauses
// of licences stand in more than one of them.
double SharedGeneralText(std::span<const LeakCorpus> corpora) {
  constexpr size_t kPiece = 40;
  std::istringstream words(GeneralText());
  const std::vector<std::string> all(std::istream_iterator<std::string>(words), {});
  std::vector<Item> pieces(std::min(all.size(), kTextWindows * kTextContext) / kPiece);
  auto word = all.end() - static_cast<std::ptrdiff_t>(pieces.size() * kPiece);
  for (Item& piece : pieces) {
    piece.id = kGeneralText;
    piece.plain_text = true;
    for (size_t i = 0; i < kPiece; ++i) piece.completion += *word++ + " ";
  }
  if (pieces.empty()) return 0;
  std::vector<Leak> leaks = FindLeaks(pieces, corpora);
  std::erase_if(leaks, [](const Leak& leak) { return leak.kind == LeakKind::kNear; });
  return static_cast<double>(leaks.size()) / static_cast<double>(pieces.size());
}

void RefuseOrWarn(const std::string& found, bool allow_leak) {
  if (!allow_leak)
    Fail(
        ErrorKind::kUsage,
        "{}; take them out, name other texts (quantize.calibration.from, or --calibration), or go on with --allow-leak",
        found);
  fmt::print(stderr, "! {}\n", found);
}

}  // namespace

void RequireCleanTexts(const std::filesystem::path& texts, const std::vector<Item>& judged, bool allow_leak) {
  std::vector<Leak> leaks = FindLeaks(judged, CorporaOf(texts));
  std::erase_if(leaks, [](const Leak& leak) { return leak.kind == LeakKind::kNear; });
  if (leaks.empty()) return;
  RefuseOrWarn(
      fmt::format("items to judge by stand word for word in the calibration texts ({} of them, {}): e.g. item {} in {}",
                  leaks.size(), texts.string(), leaks.front().item, leaks.front().other),
      allow_leak);
}

void RequireCleanCalibration(const Workspace& workspace) {
  const Config& config = workspace.config;
  if (!CalibratesOnTexts(config)) return;
  std::vector<Item> judged = workspace.eval;
  const std::vector<WeightsRecipe> made = MadeWeights(config);
  if (std::ranges::any_of(made, &WeightsRecipe::floor))  // a search is judged on dev
    judged.insert(judged.end(), workspace.dev.begin(), workspace.dev.end());
  const fs::path& texts = config.quantize.calibration;
  RequireCleanTexts(texts, judged, workspace.scope.allow_leak);
  if (const double shared = SharedGeneralText(CorporaOf(texts)); shared >= kMostShared)
    RefuseOrWarn(
        fmt::format("{:.0f}% of the general text that every arm's divergence is measured on stands word for word "
                    "in the calibration texts, {}",
                    100 * shared, texts.string()),
        workspace.scope.allow_leak);
}

std::vector<Leak> LeaksOf(const Config& config, std::span<const Item> train, std::span<const Item> dev,
                          std::span<const Item> eval) {
  const DataConfig& data = config.data;
  std::vector<LeakCorpus> corpora{LeakCorpusOf("train", train), LeakCorpusOf("dev", dev),
                                  RestOf("answers and passages of train", train)};
  for (const AdapterConfig& adapter : config.adapters)
    if (adapter.data != data.train) {
      const std::vector<Item> own = LoadDataset(adapter.data);
      corpora.push_back(LeakCorpusOf("train of " + adapter.name, own));
      corpora.push_back(RestOf("answers and passages of train of " + adapter.name, own));
    }
  for (const auto* documents : {&data.documents, &data.documents_update})
    if (!documents->empty())
      corpora.push_back(LeakCorpusOf("documents", ChunkDocuments(*documents, config.rag.chunk_tokens, CountWords)));
  if (CalibratesOnTexts(config) && config.quantize.calibration != data.train)
    for (LeakCorpus& calibration : CorporaOf(config.quantize.calibration)) corpora.push_back(std::move(calibration));
  return FindLeaks(eval, corpora);
}

Json LeakToJson(const Leak& leak) {
  return {{"item", leak.item},
          {"corpus", leak.corpus},
          {"other", leak.other},
          {"similarity", leak.similarity},
          {"kind", LeakKindName(leak.kind)}};
}

Json LeaksJson(const Workspace& workspace) {
  const Config& config = workspace.config;
  Json leaks = Json::array();
  for (const Leak& leak : LeaksOf(config, workspace.train, workspace.dev, workspace.eval))
    leaks.push_back(LeakToJson(leak));
  std::vector<LeakCorpus> calibration;
  if (CalibratesOnTexts(config)) calibration = CorporaOf(config.quantize.calibration);
  if (const double shared = SharedGeneralText(calibration); shared >= kMostShared)
    leaks.push_back({{"item", kGeneralText},
                     {"corpus", kCalibration},
                     {"other", config.quantize.calibration.filename().string()},
                     {"similarity", shared},
                     {"kind", "normalized"}});
  if (!leaks.empty() && !workspace.quiet)
    fmt::print(stderr,
               "! {} pairs of an evaluation item and training data, calibration texts or documents are (nearly) the "
               "same, e.g. {} and {} of {}; results.json of an evaluation lists them\n",
               leaks.size(), leaks[0]["item"].get<std::string>(), leaks[0]["other"].get<std::string>(),
               leaks[0]["corpus"].get<std::string>());
  return leaks;
}

}  // namespace qad

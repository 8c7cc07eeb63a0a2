#include "experiment/workspace.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/suggest.h"
#include "evaluate/metrics.h"
#include "evaluate/schema.h"
#include "memory/weights_math.h"
#include "results/slices.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

fs::path RootOf(const Config& config, const Scope& scope) {
  if (scope.partial()) return config.output / "partial";
  const bool own =
      scope.adapter_path.empty() || fs::weakly_canonical(scope.adapter_path) ==
                                        fs::weakly_canonical(config.AdapterFolder(config.adapters.front().name));
  return own ? config.output : config.output / kOtherAdapterFolder;
}

// Misspelt slices would only show after the run, as rows that are missing.
void CheckNames(const Config& config, const std::vector<Item>& eval) {
  std::vector<std::string> wanted;
  for (const auto& [slice, floor] : config.decide.required) wanted.push_back(slice);
  for (const auto& [slice, share] : config.decide.mix) wanted.push_back(slice);
  for (const ComparisonConfig& comparison : config.comparisons) wanted.push_back(comparison.slice);
  for (const std::string& slice : wanted) {
    if (std::ranges::any_of(eval, [&](const Item& item) { return SliceMatches(item.slice, slice); })) continue;
    std::vector<std::string> known;
    for (const Item& item : eval)
      if (std::ranges::find(known, item.slice) == known.end()) known.push_back(item.slice);
    Fail(ErrorKind::kUsage, "{}: slice '{}' has no items in {}{}", config.file.string(), slice,
         config.data.eval.string(), Suggestion(slice, known));
  }
}

// So would misspelt metrics of comparisons.
void CheckMetrics(const Config& config, const std::vector<Item>& eval) {
  for (const ComparisonConfig& comparison : config.comparisons) {
    // Those that the answer alone does not decide.
    std::vector<std::string> known = {"answer_log_likelihood", "citation"};
    for (const Item& item : eval)
      if (SliceMatches(item.slice, comparison.slice))
        for (const auto& [metric, score] : ScoreAnswer({.item = item, .output = item.completion, .refusals = {}}))
          if (std::ranges::find(known, metric) == known.end()) known.push_back(metric);
    if (std::ranges::any_of(eval, [&](const Item& item) {
          return SliceMatches(item.slice, comparison.slice) && !item.choices.empty();
        }))
      known.insert(known.end(), {"choice", "choice_by_byte"});
    if (std::ranges::find(known, comparison.metric) != known.end()) continue;
    std::string list;
    for (const std::string& metric : known) list += (list.empty() ? "" : ", ") + metric;
    Fail(ErrorKind::kUsage, "{}: comparisons: slice '{}' is not scored by '{}'{}; it has {}", config.file.string(),
         comparison.slice, comparison.metric, Suggestion(comparison.metric, known), list);
  }
}

// Answers of schema items must fit their schema; found now, not after the training.
void CheckReferences(const fs::path& file, const std::vector<Item>& items) {
  for (const Item& item : items) {
    if (item.schema.empty() || item.plain_text) continue;
    try {
      SchemaReference(item);
    } catch (const Error& error) {
      FailInput("{}:{}: {}", file.string(), item.line, error.what());
    }
  }
}

fs::path PathOf(const WeightsRecipe& recipe, const Config& config, const fs::path& root) {
  return (recipe.merged.empty() ? config.output : root) / recipe.Output();
}

std::map<std::string, fs::path> Artefacts(const Config& config, const fs::path& root) {
  std::map<std::string, fs::path> artefacts;
  for (const WeightsRecipe& recipe : MadeWeights(config)) artefacts[recipe.weights] = PathOf(recipe, config, root);
  return artefacts;
}

}  // namespace

Model& ModelPool::Get(const std::string& weights, const fs::path& adapter) {
  Loaded& loaded = loaded_[weights];
  if (loaded.model == nullptr)
    loaded.model = std::make_unique<Model>(LoadModel(SourceOf(weights), WeightModeOf(FormatOf(weights))));
  const std::string key = adapter.string();
  if (loaded.attached == key) return *loaded.model;
  loaded.model->transformer.ClearAdapters();
  if (!key.empty()) {
    std::unique_ptr<LoraAdapter>& held = loaded.adapters[key];
    if (held == nullptr) held = std::make_unique<LoraAdapter>(loaded.model->transformer, adapter);
    held->AttachTo(loaded.model->transformer);
  }
  loaded.attached = key;
  return *loaded.model;
}

void ModelPool::Clear() { loaded_.clear(); }

size_t ModelPool::AdapterBytes(const fs::path& adapter) const {
  for (const auto& [weights, loaded] : loaded_)
    if (const auto held = loaded.adapters.find(adapter.string()); held != loaded.adapters.end())
      return held->second->served_bytes();
  return 0;
}

std::string ModelPool::SourceOf(const std::string& weights) const {
  const auto artefact = artefacts_.find(weights);
  return artefact == artefacts_.end() ? model_ : artefact->second.string();
}

std::string ModelPool::FormatOf(const std::string& weights) { return weights == "bf16" ? "bf16" : "as-stored"; }

namespace {

std::vector<Item> LoadNamed(const Config& config, const char* key, const fs::path& path) {
  if (!fs::exists(path)) FailInput("{}: {}: there is no file {}", config.file.string(), key, path.string());
  return LoadDataset(path);
}

}  // namespace

Workspace::Workspace(Config given, Scope scoped, int threads, bool be_quiet)
    : config(std::move(given)),
      scope(std::move(scoped)),
      quiet(be_quiet),
      root(RootOf(config, scope)),
      context(Numerics::kFast, threads > 0 ? threads : config.hardware.threads),
      cache(root / "cache"),
      model_path(ResolveModel(config.model)),
      models(config.model, Artefacts(config, root)),
      train(TakeInTurn(LoadNamed(config, "data.train", config.data.train), scope.max_train_samples)),
      eval(LoadNamed(config, "data.eval", config.data.eval)) {
  const std::vector<Item> all = std::exchange(eval, TakeInTurn(eval, scope.max_eval_samples));
  CheckNames(config, all);
  CheckMetrics(config, all);
  const ModelFiles files = OpenModel(model_path);
  if (const size_t positions = ConfigOf(files).max_positions;
      static_cast<size_t>(config.eval.max_new_tokens) >= positions)
    Fail(ErrorKind::kUsage, "{}: eval.max_new_tokens: {} given, but the model has {} positions for prompt and answer",
         config.file.string(), config.eval.max_new_tokens, positions);
  stored_format = MainFormat(PlanOf(files, WeightMode::kAsStored));
  if (!config.data.dev.empty())
    dev = TakeInTurn(LoadNamed(config, "data.dev", config.data.dev), scope.max_eval_samples);
  if (!config.data.zero_shot.empty()) {
    zero_shot = TakeInTurn(LoadNamed(config, "data.zero_shot", config.data.zero_shot), scope.max_eval_samples);
    for (const Item& item : zero_shot)
      if (item.choices.empty())
        FailInput("{}:{}: has no \"choices\", of which the likeliest is asked for", config.data.zero_shot.string(),
                  item.line);
  }
  CheckReferences(config.data.train, train);
  CheckReferences(config.data.dev, dev);
  CheckReferences(config.data.eval, eval);
}

Retriever Workspace::DocumentRetriever() const { return RetrieverOf(config.rag.retriever); }

Json Workspace::IndexInputs() const {
  if (DocumentRetriever() == Retriever::kBm25) return {{"embedder", nullptr}};
  if (embedder_hash_.empty()) embedder_hash_ = Encoder::HashOf(config.rag.embedder);
  return {{"embedder", embedder_hash_}};
}

Json Workspace::SearchInputs() const {
  Json inputs = IndexInputs();
  inputs.update({{"retriever", config.rag.retriever}, {"top_k", config.rag.top_k}});
  return inputs;
}

void Workspace::FreeModels() {
  models.Clear();
  embedder_.reset();
}

const Embedder* Workspace::DocumentEmbedder() {
  if (DocumentRetriever() == Retriever::kBm25) return nullptr;
  if (embedder_ == nullptr) embedder_ = std::make_unique<TextEmbedder>(config.rag.embedder, context.threads);
  return &embedder_->embedder();
}

const std::string& Workspace::ModelHash() const {
  if (model_hash_.empty()) model_hash_ = OpenModel(model_path).Hash();
  return model_hash_;
}

fs::path Workspace::AdapterFolder(const std::string& name) const {
  if (!scope.adapter_path.empty() && name == config.adapters.front().name) return scope.adapter_path;
  const fs::path cut = root / (name + "_adapter");  // of a cut training that did not replace a full one
  return scope.partial() && fs::exists(cut / "adapter_model.safetensors") ? cut : config.AdapterFolder(name);
}

fs::path Workspace::AttachedAdapter(const ArmConfig& arm) const {
  if (arm.adapter.empty() || arm.merged) return {};
  const bool elsewhere = FindAdapter(config, arm.adapter)->base != arm.weights;
  const fs::path weights = arm.weights == "as-stored" ? model_path : fs::path(models.SourceOf(arm.weights));
  const bool on_gguf = arm.weights != "bf16" && weights.extension() == ".gguf";
  return elsewhere && on_gguf ? AdapterFile(arm.adapter) : AdapterFolder(arm.adapter);
}

fs::path Workspace::WeightsPath(const WeightsRecipe& recipe) const { return PathOf(recipe, config, root); }

fs::path Workspace::TrainingFolder(const std::string& name) const {
  fs::path folder = config.AdapterFolder(name);
  if (!scope.partial()) return folder;
  // A full training leaves its entry in the full run's cache.
  const fs::path entry = fs::path(SamplesFileName("train: " + name)).replace_extension(".json");
  const bool full = fs::exists(folder / "adapter_model.safetensors") && fs::exists(config.output / "cache" / entry);
  return full ? root / (name + "_adapter") : folder;
}

const std::vector<fs::path>& Workspace::CurrentDocuments() const {
  return config.data.documents_update.empty() ? config.data.documents : config.data.documents_update;
}

std::vector<Item> TakeInTurn(const std::vector<Item>& items, int count) {
  if (count <= 0 || static_cast<size_t>(count) >= items.size()) return items;
  std::vector<std::string> slices;
  std::map<std::string, std::vector<size_t>> places;
  for (size_t i = 0; i < items.size(); ++i) {
    if (std::ranges::find(slices, items[i].slice) == slices.end()) slices.push_back(items[i].slice);
    places[items[i].slice].push_back(i);
  }
  std::vector<Item> taken;
  for (size_t turn = 0; taken.size() < static_cast<size_t>(count); ++turn)
    for (const std::string& slice : slices)
      if (turn < places[slice].size() && taken.size() < static_cast<size_t>(count))
        taken.push_back(items[places[slice][turn]]);
  return taken;
}

}  // namespace qad

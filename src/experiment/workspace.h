// What all stages of one experiment share: configuration, data, models in memory, the index, and the stage cache.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapt/lora.h"
#include "evaluate/text_embedder.h"
#include "experiment/cache.h"
#include "experiment/config.h"
#include "experiment/weights.h"
#include "model/load.h"
#include "retrieve/index.h"
#include "text/dataset.h"

namespace qad {

// Of results on an adapter from elsewhere, within the output folder.
inline constexpr std::string_view kOtherAdapterFolder = "other-adapter";

// How much of the experiment is run.
struct Scope {
  int max_train_samples = 0, max_eval_samples = 0;  // 0: all
  std::filesystem::path adapter_path;               // stands in for the first adapter of the configuration
  int seeds = 0;                                    // in place of the configuration's; 0: as it says
  bool resume = false;                              // of an interrupted training
  bool allow_leak = false;                          // of evaluation items into calibration

  bool partial() const { return max_train_samples > 0 || max_eval_samples > 0; }
};

// Models by the words of an arm's weights ("bf16", "as-stored", "int8", …), loaded when first asked for, and adapters
// attached to them.
class ModelPool {
 public:
  ModelPool(std::string model, std::map<std::string, std::filesystem::path> artefacts)
      : model_(std::move(model)), artefacts_(std::move(artefacts)) {}

  // With the adapter of `folder` attached, or none where it is empty.
  Model& Get(const std::string& weights, const std::filesystem::path& adapter = {});
  void Clear();                                                     // frees all models
  size_t AdapterBytes(const std::filesystem::path& adapter) const;  // of one that is loaded; 0 where it is not
  // What `qad` commands call these weights: a path or name, and --format.
  std::string SourceOf(const std::string& weights) const;
  static std::string FormatOf(const std::string& weights);

 private:
  struct Loaded {
    std::unique_ptr<Model> model;
    std::map<std::string, std::unique_ptr<LoraAdapter>> adapters;  // by folder
    std::string attached;
  };
  std::string model_;
  std::map<std::string, std::filesystem::path> artefacts_;
  std::map<std::string, Loaded> loaded_;
};

struct Workspace {
  // Reads the data and finds the model. Errors: as LoadDataset, ResolveModel; (kInput) no eval item is left.
  Workspace(Config config, Scope scope, int threads, bool quiet);

  Config config;
  Scope scope;
  bool quiet;                  // no progress on stderr
  std::filesystem::path root;  // where results land: output, or output/partial for a partial run
  Context context;
  StageCache cache;
  std::filesystem::path model_path;  // resolved
  std::string stored_format;         // of most of its weights: "q4_1"
  ModelPool models;
  std::vector<Item> train, dev, eval, zero_shot;  // cut to the scope

  // The folder that an adapter is read from: outputs/NAME_adapter, or the one of --adapter-path.
  std::filesystem::path AdapterFolder(const std::string& name) const;
  // The adapter that the arm's model carries: its folder, or a GGUF file where it is on other weights than it was
  // trained on and these are one. Empty where there is none, or it is in the weights.
  std::filesystem::path AttachedAdapter(const ArmConfig& arm) const;
  // That file.
  std::filesystem::path AdapterFile(const std::string& name) const { return root / (name + "_adapter.gguf"); }
  // Where training writes it: outputs/NAME_adapter, or outputs/partial/NAME_adapter where a partial training would
  // replace a full one.
  std::filesystem::path TrainingFolder(const std::string& name) const;
  // Where made weights land. Those with an adapter in them are of this run, the others of every run.
  std::filesystem::path WeightsPath(const WeightsRecipe& recipe) const;
  // SHA-256 of the model's files; computed when first asked for.
  const std::string& ModelHash() const;
  // The documents as they are now: updates where given.
  const std::vector<std::filesystem::path>& CurrentDocuments() const;
  Retriever DocumentRetriever() const;
  // Of stages' inputs: what an index is made of beside its documents, and what decides which passages are found.
  Json IndexInputs() const;
  Json SearchInputs() const;
  // What makes vectors of documents and questions, loaded when first asked for; null where words alone are ranked.
  // Errors (kInput): as Encoder.
  const Embedder* DocumentEmbedder();
  // What stays in memory between stages goes; an Index with vectors must not be searched any more.
  void FreeModels();

 private:
  mutable std::string model_hash_, embedder_hash_;
  std::unique_ptr<TextEmbedder> embedder_;
};

// At most `count` items (0: all), taken in turn from the slices, each in its own order: four items show four slices.
std::vector<Item> TakeInTurn(const std::vector<Item>& items, int count);

}  // namespace qad

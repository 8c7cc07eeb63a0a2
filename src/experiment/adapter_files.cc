#include "experiment/adapter_files.h"

#include <memory>

#include "adapt/gguf_adapter.h"
#include "adapt/lora.h"
#include "io/model_files.h"
#include "model/weights.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// A model and an adapter that was read for it.
struct Fitted {
  Fitted(const fs::path& model, const fs::path& path)
      : files(OpenModel(model)),
        transformer(std::make_shared<Weights>(PlanOf(files, WeightMode::kAsStored), files)),
        adapter(transformer, path) {}

  ModelFiles files;
  Transformer transformer;
  LoraAdapter adapter;
};

}  // namespace

Merged MergeAdapterFiles(const fs::path& model, const fs::path& adapter, const fs::path& output,
                         const MergeOptions& options) {
  const Fitted fitted(model, adapter);
  const LoraAdapter& lora = fitted.adapter;
  std::vector<LowRankUpdate> updates;
  for (const LoraAdapter::Module& module : lora.modules())
    updates.push_back({.module = module.site.module,
                       .in = module.site.in,
                       .out = module.site.out,
                       .rank = module.rank,
                       .scale = module.scale,
                       .a = lora.values().subspan(module.a, module.rank * module.site.in),
                       .b = lora.values().subspan(module.b, module.rank * module.site.out)});
  return {MergeAdapter(model, updates, output, options), updates.size()};
}

Converted ConvertAdapterFiles(const fs::path& model, const fs::path& adapter, const fs::path& output) {
  const Fitted fitted(model, adapter);
  const LoraAdapter& lora = fitted.adapter;
  if (IsGgufAdapter(output))
    WriteGgufAdapter(output, lora, fitted.transformer.weights().plan(), model.stem().string());
  else
    lora.Save(output, {.name = lora.config().base_model.empty() ? model.string() : lora.config().base_model,
                       .sha256 = lora.config().base_sha256});
  return {lora.modules().size(), lora.parameters()};
}

}  // namespace qad

#include "evaluate/text_embedder.h"

#include <fmt/format.h>

#include "io/model_files.h"
#include "model/load.h"

namespace qad {

TextEmbedder::TextEmbedder(const std::string& model, int threads)
    : encoder_(model),
      context_(Numerics::kExact, threads),  // in bf16 a vector's components are 2e-4 off
      embedder_{.id = fmt::format("{} ({})", model, encoder_.hash().substr(0, 12)),
                .width = encoder_.width(),
                .embed = [this](std::span<const std::string> texts, float* vectors) {
                  encoder_.Embed(context_, texts, vectors);
                }} {
  context_.f32_in_parts = true;
}

size_t RetrievalBytes(const std::string& model, size_t chunks) {
  const std::filesystem::path folder = ResolveModel(model);
  const Plan plan = PlanOf(OpenModel(folder), WeightMode::kAsStored);
  return plan.weight_bytes() + WordPiece::FromTokenizerJson(folder / "tokenizer.json").bytes() +
         chunks * plan.config.hidden * sizeof(float);
}

}  // namespace qad
